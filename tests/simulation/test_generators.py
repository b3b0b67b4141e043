from collections import Counter
from itertools import pairwise
from statistics import mean, median

import pytest

from aibrix_mw.simulation.generators import WORKLOADS, Chat, Shape, abusive, batch, bursty, chat, heavy_tailed

SHAPE = Shape(rate=50.0, seconds=200.0, seed=3)


@pytest.mark.parametrize("name", WORKLOADS)
def test_same_seed_same_requests_in_order_of_arrival(name):
    generate, shape = WORKLOADS[name], Shape(rate=20.0, seconds=60.0, seed=1)
    entries = generate(shape)
    assert entries == generate(shape)
    assert entries != generate(Shape(rate=20.0, seconds=60.0, seed=2))
    assert [entry.arrival for entry in entries] == sorted(entry.arrival for entry in entries)
    assert all(0 <= entry.arrival < 60.0 for entry in entries)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_rate_is_the_one_that_was_asked_for(name):
    assert len(WORKLOADS[name](SHAPE)) == pytest.approx(50.0 * 200.0, rel=0.07)


def test_chat_repeats_what_was_said():
    sessions = {}
    for entry in chat(SHAPE):
        sessions.setdefault(entry.session, []).append(entry)
    turns = next(turns for turns in sessions.values() if len(turns) == 6)
    assert [sum(tokens for _, tokens in turn.blocks) for turn in turns] == [712 + 350 * n for n in range(6)]
    for earlier, later in pairwise(turns):
        assert later.blocks[: len(earlier.blocks) + 1] == (*earlier.blocks, (earlier.answer, 150))
    assert len({turn.blocks[0] for turn in turns}) == 1


def test_chat_is_even_from_the_start():
    """The numbers of turns are mixed at once: sessions have begun before."""
    first = [len(entry.blocks) for entry in chat(SHAPE) if entry.arrival < 10]
    last = [len(entry.blocks) for entry in chat(SHAPE) if entry.arrival >= 190]
    assert mean(first) == pytest.approx(mean(last), rel=0.1)


def test_system_prompts_follow_zipf():
    counts = Counter(entry.blocks[0][0] for entry in chat(Shape(rate=100.0, seconds=120.0), Chat(prompts=8)))
    assert counts["system 0"] / counts["system 1"] == pytest.approx(2.0, rel=0.2)
    assert counts["system 0"] / counts["system 3"] == pytest.approx(4.0, rel=0.25)


def test_batch_shares_nothing():
    entries = batch(SHAPE)
    assert len({entry.blocks for entry in entries}) == len(entries)
    assert mean(tokens for entry in entries for _, tokens in entry.blocks) == pytest.approx(600, rel=0.03)


def test_bursts_have_three_times_the_mean_rate():
    counts = Counter(entry.arrival % 20.0 < 4.0 for entry in bursty(SHAPE))
    assert counts[True] / 40.0 == pytest.approx(150.0, rel=0.05)
    assert counts[False] / 160.0 == pytest.approx(25.0, rel=0.07)


def test_one_user_sends_ten_times_the_tokens_of_another():
    tokens = Counter()
    for entry in abusive(SHAPE):
        tokens[entry.user] += entry.blocks[0][1] + entry.output
    others = [sent for user, sent in tokens.items() if user != "abusive"]
    assert len(others) == 10
    assert tokens["abusive"] / mean(others) == pytest.approx(10.0, rel=0.1)


def test_without_the_abuser_the_others_stay_the_same():
    quiet = abusive(Shape(rate=25.0, seconds=200.0, seed=3), factor=0.0)
    assert quiet == [entry for entry in abusive(SHAPE) if entry.user != "abusive"]


def test_tails_are_heavy():
    lengths = [entry.output for entry in heavy_tailed(SHAPE)]
    assert median(lengths) == pytest.approx(120, rel=0.1)
    assert sorted(lengths)[int(0.99 * len(lengths))] > 12 * 120
    assert max(lengths) <= 4000
