"""Built-in workloads. Each gives the same requests for the same seed, in order of arrival."""

from collections.abc import Callable, Iterator
from itertools import accumulate
from math import log
from random import Random

import msgspec

from aibrix_mw.simulation.trace import Entry


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a workload: requests a second, seconds, and the seed of its chances."""

    rate: float
    seconds: float
    seed: int = 0


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """Multi-turn chat: system prompts shared by sessions (Zipf), turns that repeat all that was said before.

    `think` is the mean time in seconds between two requests of a session.
    """

    prompts: int = 64
    system: int = 512
    zipf: float = 1.0
    turns: int = 6
    question: int = 200
    answer: int = 150
    think: float = 30.0


def chat(shape: Shape, kind: Chat = Chat()) -> list[Entry]:  # noqa: B008
    """Sessions arrive as a Poisson process that begins before the start, so that the load is even from the start."""
    rng = Random(shape.seed)
    weights = list(accumulate(1 / rank**kind.zipf for rank in range(1, kind.prompts + 1)))
    entries: list[Entry] = []
    for number, begun in enumerate(_poisson(rng, shape.rate / kind.turns, shape.seconds, -2 * kind.turns * kind.think)):
        prompt = rng.choices(range(kind.prompts), cum_weights=weights)[0]
        entries += _session(rng, kind, f"s{number}", f"system {prompt}", begun)
    return _within(entries, shape.seconds)


def _session(rng: Random, kind: Chat, name: str, prompt: str, begun: float) -> Iterator[Entry]:
    blocks: tuple[tuple[str, int], ...] = ((prompt, kind.system),)
    at = begun
    for turn in range(kind.turns):
        answer = f"{name} answer {turn}"
        blocks += ((f"{name} question {turn}", kind.question),)
        if at >= 0:
            yield Entry(at, kind.answer, blocks=blocks, session=name, user=name, answer=answer)
        blocks += ((answer, kind.answer),)
        at += rng.expovariate(1 / kind.think)


def batch(shape: Shape, *, prompt: int = 600, output: int = 300) -> list[Entry]:
    """Independent prompts that share nothing; lengths vary evenly by a half around the mean."""
    rng = Random(shape.seed)
    return [
        _single(at, number, _around(rng, prompt), _around(rng, output), f"user {rng.randrange(20)}")
        for number, at in enumerate(_poisson(rng, shape.rate, shape.seconds))
    ]


def bursty(shape: Shape, *, period: float = 20.0, share: float = 0.2, factor: float = 3.0) -> list[Entry]:
    """As `batch`, but `share` of each `period` has `factor` times the mean rate, and the rest what remains."""
    rng = Random(shape.seed)
    quiet = (1 - share * factor) / (1 - share)
    entries = []
    for number, at in enumerate(_poisson(rng, shape.rate * factor, shape.seconds)):
        keep = 1.0 if at % period < share * period else quiet / factor
        if rng.random() < keep:
            entries.append(_single(at, number, _around(rng, 600), _around(rng, 300), f"user {rng.randrange(20)}"))
    return entries


def abusive(shape: Shape, *, users: int = 10, factor: float = 10.0) -> list[Entry]:
    """Many users alike and one that sends `factor` times the tokens of another, in prompts as long as theirs.

    `rate` is that of all together. The others are the same ones when `factor` is 0 and the rate theirs alone.
    """
    rng, other = Random(shape.seed), Random(shape.seed + 1)
    each = shape.rate / (users + factor)
    entries = [
        _single(at, number, _around(rng, 600), _around(rng, 200), f"user {rng.randrange(users)}")
        for number, at in enumerate(_poisson(rng, each * users, shape.seconds))
    ]
    entries += [
        _single(at, -1 - number, _around(other, 600), _around(other, 200), "abusive")
        for number, at in enumerate(_poisson(other, each * factor, shape.seconds))
    ]
    return _within(entries, shape.seconds)


def heavy_tailed(shape: Shape, *, prompt: int = 400, output: int = 120, sigma: float = 1.2) -> list[Entry]:
    """Log-normal lengths around the medians: most are short, a few are 20 times as long."""
    rng = Random(shape.seed)
    return [
        _single(at, number, _tail(rng, prompt, sigma, 16_000), _tail(rng, output, sigma, 4_000), "")
        for number, at in enumerate(_poisson(rng, shape.rate, shape.seconds))
    ]


def long_prompt(shape: Shape, *, prompt: int = 4000, output: int = 200) -> list[Entry]:
    """As `batch`, of prompts that are twenty times as long as their answers."""
    return batch(shape, prompt=prompt, output=output)


def _poisson(rng: Random, rate: float, end: float, start: float = 0.0) -> Iterator[float]:
    at = start + rng.expovariate(rate) if rate else end
    while at < end:
        yield at
        at += rng.expovariate(rate)


def _single(at: float, number: int, prompt: int, output: int, user: str) -> Entry:
    return Entry(at, output, blocks=((f"prompt {number}", prompt),), session=f"r{number}", user=user)


def _around(rng: Random, mean: int) -> int:
    return rng.randint(mean // 2, mean + mean // 2)


def _tail(rng: Random, median: int, sigma: float, largest: int) -> int:
    return max(1, min(int(rng.lognormvariate(log(median), sigma)), largest))


def _within(entries: list[Entry], seconds: float) -> list[Entry]:
    return sorted((entry for entry in entries if entry.arrival < seconds), key=lambda entry: entry.arrival)


WORKLOADS: dict[str, Callable[[Shape], list[Entry]]] = {
    "chat": chat,
    "batch": batch,
    "bursty": bursty,
    "abusive": abusive,
    "heavy-tailed": heavy_tailed,
    "long-prompt": long_prompt,
    "restart": chat,
}
