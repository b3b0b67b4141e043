"""What is asked: prompts of a given length that share nothing, or the requests of a file."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from aibrix_mw.engine.text import WORDS
from aibrix_mw.errors import ConfigurationError, Fault

Body = dict[str, Any]
_CORPUS_WORDS = 200_000
_HEAD_WORDS = 12
"""Random words before anything else: about 80 bits, so that no two prompts begin alike and no prefix cache helps."""


class Workload(msgspec.Struct, frozen=True):
    """Sizes in tokens; `file` stands in for them. `bytes_per_token` and `overhead` are how the target counts them."""

    model: str
    api: str = "chat"
    prompt_tokens: int = 512
    output_tokens: int = 128
    file: str | None = None
    bytes_per_token: float = 4.5
    overhead: float = 0.0

    def prompt_bytes(self) -> int:
        """How long a prompt is to be."""
        return max(round((self.prompt_tokens - self.overhead) * self.bytes_per_token), 1)

    def calibrated(self, *seen: tuple[int, int]) -> "Workload":
        """Sizes right from two prompts, each as bytes and tokens; unchanged when they tell nothing."""
        (bytes0, tokens0), (bytes1, tokens1) = seen
        if self.file is not None or tokens1 <= tokens0 or bytes1 <= bytes0:
            return self
        per_token = (bytes1 - bytes0) / (tokens1 - tokens0)
        return msgspec.structs.replace(self, bytes_per_token=per_token, overhead=tokens0 - bytes0 / per_token)

    def body(self, text: str) -> bytes:
        """A request for exactly `output_tokens` tokens after this text."""
        prompt: Body = (
            {"prompt": text} if self.api == "completions" else {"messages": [{"role": "user", "content": text}]}
        )
        return self._encode({**prompt, "max_tokens": self.output_tokens, "ignore_eos": True})

    def _encode(self, request: Body) -> bytes:
        ours = {"model": self.model, "stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode({**request, **ours})

    def bodies(self, rng: Random) -> Iterator[bytes]:
        """Requests without end; those of a file over and over, from a place that chance decides."""
        if self.file is None:
            texts = Texts(rng)
            size = self.prompt_bytes()
            while True:
                yield self.body(texts.make(size))
        requests = [self._encode(request) for request in read_requests(Path(self.file), self.api)]
        at = rng.randrange(len(requests))
        while True:
            yield requests[at]
            at = (at + 1) % len(requests)


class Texts:
    """Makes texts of random words, cheaply: a random head and a stretch of one long text."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._corpus = " ".join(rng.choices(WORDS, k=_CORPUS_WORDS))

    def make(self, size: int) -> str:
        """A text of `size` bytes."""
        parts = [" ".join(self._rng.choices(WORDS, k=_HEAD_WORDS)), " "]
        left = size - sum(map(len, parts))
        while left > 0:
            begin = self._rng.randrange(len(self._corpus) // 2)
            parts.append(self._corpus[begin : begin + left])
            left -= len(parts[-1])
        return "".join(parts)[:size]


def read_requests(path: Path, api: str) -> list[Body]:
    """The request bodies of a JSONL file; ConfigurationError names each line that is none."""
    key = "prompt" if api == "completions" else "messages"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError([Fault(str(path), error.strerror or str(error))]) from error
    requests, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            request = msgspec.json.decode(line, type=Body)
            if key not in request:
                raise ValueError(f"a request body with `{key}` is expected")
            requests.append(request)
        except ValueError as error:
            faults.append(Fault(f"{path}:{number}", str(error)))
    if not requests and not faults:
        faults.append(Fault(str(path), "holds no request"))
    if faults:
        raise ConfigurationError(faults)
    return requests
