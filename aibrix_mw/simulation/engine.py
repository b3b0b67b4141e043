"""One engine: continuous batching step by step, as vLLM does it.

A step computes one token for every decoding sequence and, with what is left of its token budget, chunks of prompts in
order of arrival. Its time is linear in what it holds; the KV cache is that of the simulated engine, and what an answer
adds to it is kept too. Simpler than vLLM in one way: a sequence reserves the blocks of its whole answer when it starts,
so that nothing is ever preempted.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import msgspec

from aibrix_mw.engine.kv import KVCache, Lease
from aibrix_mw.simulation.counters import Counters
from aibrix_mw.simulation.loop import Loop


class EngineModel(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do; about an 8B model on one A100 by default.

    A step takes (step_seconds + prefill_seconds x prompt tokens + decode_seconds x decoding sequences) / speed.
    """

    prefill_seconds: float = 1e-4
    step_seconds: float = 0.012
    decode_seconds: float = 1e-4
    batch_tokens: int = 2048
    max_running: int = 256
    kv_blocks: int = 4096
    block_tokens: int = 16
    speed: float = 1.0


class Run:
    """One request in an engine. `first` and `ended` are called when the first and the last token are there.

    `hashes` are those of the prompt's full blocks, `all_hashes` those of prompt and answer together. Of a `transferred`
    prompt, which another engine has computed, only the last token is left to compute.
    """

    __slots__ = (
        "all_hashes",
        "arrived",
        "cached",
        "ended",
        "first",
        "first_at",
        "hashes",
        "lease",
        "left",
        "output_tokens",
        "prompt_tokens",
        "started",
        "transferred",
    )

    def __init__(
        self,
        prompt_tokens: int,
        output_tokens: int,
        hashes: tuple[int, ...],
        all_hashes: tuple[int, ...],
        first: Callable[["Run"], None],
        ended: Callable[["Run"], None],
        *,
        transferred: bool = False,
    ) -> None:
        self.transferred = transferred
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.hashes = hashes
        self.all_hashes = all_hashes
        self.first = first
        self.ended = ended
        self.left = prompt_tokens
        self.cached = 0
        self.lease: Lease | None = None
        self.arrived = self.started = self.first_at = 0.0


class Engine:
    """Runs requests on the loop. Between two changes of the batch all its decode steps are one event."""

    def __init__(self, model: EngineModel, loop: Loop) -> None:
        self.model = model
        self.kv = KVCache(model.kv_blocks)
        self.counters = Counters()
        self._loop = loop
        self._queue: deque[Run] = deque()
        self._prefilling: deque[Run] = deque()
        self._decoding: list[tuple[int, int, Run]] = []  # a heap by the step of the last token
        self._order = count()
        self._step = 0  # of those that are done
        self._chunks: list[tuple[Run, int]] = []
        self._steps = 0  # of the event under way; 0 when idle
        self._began = 0.0
        self._step_time = 0.0
        self._version = 0

    @property
    def in_flight(self) -> int:
        """Requests that are here."""
        return len(self._queue) + self.running

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return len(self._prefilling) + len(self._decoding)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def submit(self, run: Run) -> None:
        """Queue a request. ValueError when it can never fit."""
        if self._blocks(run) > self.model.kv_blocks:
            raise ValueError(f"{run.prompt_tokens} + {run.output_tokens} tokens never fit into the KV cache")
        run.arrived = self._loop.now
        self._queue.append(run)
        if not self._steps:
            self._next()
        elif self._steps > 1 and self._has_room(self._queue[0]):
            self._cut()

    def page(self) -> bytes:
        """Its metrics page now, under vLLM's names."""
        done = min(int((self._loop.now - self._began) / self._step_time), self._steps) if self._steps else 0
        return self.counters.page(
            {
                "vllm:num_requests_running": self.running,
                "vllm:num_requests_waiting": self.waiting,
                "vllm:kv_cache_usage_perc": self.kv.used / self.kv.capacity,
                "vllm:generation_tokens_total": self.counters.generated + done * len(self._decoding),
            }
        )

    def _blocks(self, run: Run) -> int:
        return -(-(run.prompt_tokens + run.output_tokens) // self.model.block_tokens)

    def _has_room(self, run: Run) -> bool:
        return self.running < self.model.max_running and self.kv.fits(run.hashes, self._blocks(run))

    def _cut(self) -> None:
        # A new request need not wait for the end of the event, only for that of the step under way.
        done = int((self._loop.now - self._began) / self._step_time) + 1
        if done < self._steps:
            self._steps = done
            self._schedule()

    def _next(self) -> None:
        self._chunks = self._plan()
        model = self.model
        if not self.running:
            self._steps = 0
            return
        tokens = sum(size for _, size in self._chunks)
        busy = model.step_seconds + model.prefill_seconds * tokens + model.decode_seconds * len(self._decoding)
        self._step_time = busy / model.speed
        self._steps = 1 if self._chunks else self._decoding[0][0] - self._step
        self._began = self._loop.now
        self._schedule()

    def _schedule(self) -> None:
        self._version += 1
        self._loop.at(self._began + self._steps * self._step_time, self._done, self._version)

    def _plan(self) -> list[tuple[Run, int]]:
        """Chunks of prompts for the next step: those under way first, then from the queue."""
        budget = self.model.batch_tokens - len(self._decoding)
        chunks = []
        for run in self._prefilling:
            size = min(run.left, budget)
            budget -= size
            chunks.append((run, size))
        while budget > 0 and self._queue and self._has_room(self._queue[0]):
            run = self._queue.popleft()
            self._start(run)
            size = min(run.left, budget)
            budget -= size
            chunks.append((run, size))
        return chunks

    def _start(self, run: Run) -> None:
        run.lease = self.kv.take(run.hashes, self._blocks(run))
        block = self.model.block_tokens
        # The last prompt token is always computed, and its whole block with it.
        run.cached = min(run.lease.hits, max(run.prompt_tokens - 1, 0) // block) * block
        run.left = 1 if run.transferred else run.prompt_tokens - run.cached
        run.started = self._loop.now
        self._prefilling.append(run)
        self.counters.started(run.prompt_tokens, run.cached)

    def _done(self, version: int) -> None:
        if version != self._version:
            return
        self._step += self._steps
        self.counters.steps(self._steps * len(self._decoding), self._steps * self._step_time)
        for run, size in self._chunks:
            run.left -= size
            if not run.left:
                self._prefilling.remove(run)
                self._first(run)
        while self._decoding and self._decoding[0][0] <= self._step:
            self._end(heappop(self._decoding)[2])
        self._next()

    def _first(self, run: Run) -> None:
        assert run.lease is not None
        self.kv.publish(run.lease)
        run.first_at = self._loop.now
        heappush(self._decoding, (self._step + run.output_tokens - 1, next(self._order), run))
        self.counters.first(run.prompt_tokens, run.first_at - run.arrived)
        run.first(run)

    def _end(self, run: Run) -> None:
        assert run.lease is not None
        run.lease.hashes = run.all_hashes
        self.kv.publish(run.lease)
        self.kv.release(run.lease)
        times = (run.started - run.arrived, run.first_at - run.started, self._loop.now - run.first_at)
        self.counters.ended(run.prompt_tokens, run.output_tokens, *times)
        run.ended(run)
