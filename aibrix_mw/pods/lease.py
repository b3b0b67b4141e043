"""One request's hold on a pod."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # the pod makes its leases
    from aibrix_mw.pods.pod import Pod


class Lease:
    """One request's hold on a pod: the only writer of what we see of it.

    `tokens` is the prompt's estimate, `match` the share of it that the pod has in its cache, if a strategy knows: the
    tokens, and those of them that the pod has to compute, count as outstanding until the first byte. `answered`, if
    somebody sets it, is called then.
    """

    __slots__ = ("_begun", "_clock", "_waiting", "answered", "pod", "tokens", "uncached")

    def __init__(
        self, pod: "Pod", tokens: int = 0, match: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.pod = pod
        self.tokens = tokens
        self.uncached = tokens if match is None else round(tokens * (1.0 - match))
        self.answered: Callable[[], None] | None = None
        self._clock = clock
        self._waiting = False

    def __enter__(self) -> Self:
        pod = self.pod
        pod.in_flight += 1
        pod.outstanding_tokens += self.tokens
        pod.outstanding_uncached += self.uncached
        self._waiting = True
        self._begun = self._clock()
        return self

    def first_byte(self, *, streamed: bool) -> None:
        """The answer begins. Of a stream it is the first token; else all of it, which says nothing of speed."""
        if self._waiting:
            self._release()
            if streamed:
                now = self._clock()
                self.pod.latency.saw_first_token(now - self._begun, self.uncached, now)
            if self.answered is not None:
                self.answered()

    def computed_elsewhere(self) -> None:
        """Another pod computes the prompt: none of it is outstanding here, and a first token tells nothing of speed."""
        if self._waiting:
            self._release()

    def output(self, seconds: float, tokens: int) -> None:
        """A stream has ended: `tokens` in all, the last one `seconds` after the first."""
        self.pod.latency.saw_output(seconds, tokens - 1, self._clock())

    def _release(self) -> None:
        self._waiting = False
        self.pod.outstanding_tokens -= self.tokens
        self.pod.outstanding_uncached -= self.uncached

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting:
            self._release()
        self.pod.in_flight -= 1
