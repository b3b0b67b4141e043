"""The model of time: a queue, a batch of bounded size, prefill and decode at fixed speed per request.

Simpler than an engine in three ways, on purpose: requests in the batch do not slow each other down, prefill is not
chunked, and a request reserves the KV blocks of its whole answer at the start, so that nothing is ever preempted.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from aibrix_mw.engine.kv import KVCache, Lease
from aibrix_mw.engine.metrics import EngineMetrics
from aibrix_mw.engine.options import EngineOptions

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Job(msgspec.Struct, frozen=True):
    """What a request asks of the engine: sizes in tokens, and the hashes of the prompt's full blocks.

    `transferred` are the prompt tokens that another engine has computed.
    """

    prompt_tokens: int
    max_tokens: int = 0
    hashes: tuple[int, ...] = ()
    transferred: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """What the jobs of one engine share."""

    options: EngineOptions
    metrics: EngineMetrics
    kv: KVCache
    clock: Clock
    sleep: Sleep


class Run:
    """One job on its way: queued, prefill, decode, ended. Made by `Scheduler.slot`, which also cleans up after it."""

    def __init__(self, job: Job, machine: Machine) -> None:
        self.job = job
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lease: Lease | None = None
        self.cached_tokens = 0
        self.generated = 0
        self.reason = "abort"
        self._machine = machine
        self._metrics = machine.metrics
        self._arrived = self._started = self._first = self._last = self._due = machine.clock()

    @property
    def blocks(self) -> int:
        """KV blocks for prompt and answer."""
        return -(-(self.job.prompt_tokens + self.job.max_tokens) // self._machine.options.block_tokens)

    def start(self) -> None:
        """Leave the queue for the batch."""
        self.lease = self._machine.kv.take(self.job.hashes, self.blocks)
        self.cached_tokens = self._usable(self.lease.hits)
        self._started = self._due = self._machine.clock()
        self._metrics.add("vllm:prefix_cache_queries_total", self.job.prompt_tokens)
        self._metrics.add("vllm:prefix_cache_hits_total", self.cached_tokens)
        if not self.granted.done():  # done already when its client left in this very turn of the loop
            self.granted.set_result(None)

    async def prefill(self) -> None:
        """Wait until the prompt is computed, then share its blocks."""
        assert self.lease is not None
        transferred = min(self.job.transferred, self.job.prompt_tokens - self.cached_tokens)
        computed = self.job.prompt_tokens - self.cached_tokens - transferred
        await self._pass(computed / self._machine.options.prefill_tokens_per_second)
        self._machine.kv.publish(self.lease)
        self._first = self._last = self._machine.clock()
        self._metrics.add("vllm:prompt_tokens_total", self.job.prompt_tokens)
        self._metrics.add("vllm:prompt_tokens_by_source_total", computed, 'source="local_compute"')
        self._metrics.add("vllm:prompt_tokens_by_source_total", self.cached_tokens, 'source="local_cache_hit"')
        self._metrics.add("vllm:prompt_tokens_by_source_total", transferred, 'source="external_kv_transfer"')

    async def token(self) -> None:
        """Wait for the next output token. The first one is there as soon as the prefill is done."""
        if self.generated == 0:
            await self.prefill()
            self._metrics.observe("vllm:time_to_first_token_seconds", self._first - self._arrived)
        else:
            await self._pass(1 / self._machine.options.decode_tokens_per_second)
            now = self._machine.clock()
            self._metrics.observe("vllm:inter_token_latency_seconds", now - self._last)
            self._last = now
        self.generated += 1
        self._metrics.add("vllm:generation_tokens_total")

    def finish(self, reason: str) -> None:
        """End as planned, with `stop` or `length`. A run that is left without it counts as `abort`."""
        self.reason = reason
        decode = self._last - self._first
        for name, value in (
            ("vllm:e2e_request_latency_seconds", self._last - self._arrived),
            ("vllm:request_queue_time_seconds", self._started - self._arrived),
            ("vllm:request_inference_time_seconds", self._last - self._started),
            ("vllm:request_prefill_time_seconds", self._first - self._started),
            ("vllm:request_decode_time_seconds", decode),
            ("vllm:request_prompt_tokens", self.job.prompt_tokens),
            ("vllm:request_generation_tokens", self.generated),
        ):
            self._metrics.observe(name, value)
        if self.generated > 1:
            self._metrics.observe("vllm:request_time_per_output_token_seconds", decode / (self.generated - 1))

    def _usable(self, hits: int) -> int:
        # The last prompt token is always computed, since the first output token is drawn from its result; and its
        # whole block with it, as vLLM does.
        block = self._machine.options.block_tokens
        return min(hits, max(self.job.prompt_tokens - 1, 0) // block) * block

    async def _pass(self, seconds: float) -> None:
        # Sleeping towards an instant, not for a time: what a sleep overshoots does not add up over an answer.
        self._due += seconds
        await self._machine.sleep(max(self._due - self._machine.clock(), 0.0))


class Scheduler:
    """Who runs and who waits. Every count is exact on every path, since one `finally` undoes what a job has."""

    def __init__(self, options: EngineOptions, metrics: EngineMetrics, clock: Clock, sleep: Sleep) -> None:
        self.kv = KVCache(options.kv_blocks)
        self.running = 0
        self._machine = Machine(options, metrics, self.kv, clock, sleep)
        self._queue: deque[Run] = deque()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @asynccontextmanager
    async def slot(self, job: Job) -> AsyncIterator[Run]:
        """Queue the job and enter when it is in the batch; leaving frees its place and its blocks at once.

        `ValueError` if the job is too large to run ever: waiting for it would block everyone behind.
        """
        limit = self._machine.options.max_model_len
        if job.prompt_tokens + job.max_tokens > limit:
            raise ValueError(f"a job of more than {limit} tokens never fits")
        run = Run(job, self._machine)
        self._queue.append(run)
        try:
            self._fill()
            await run.granted
            yield run
        finally:
            self._leave(run)

    def _fill(self) -> None:
        while self._queue and self._has_room(self._queue[0]):
            self._queue.popleft().start()
            self.running += 1

    def _has_room(self, run: Run) -> bool:
        return self.running < self._machine.options.max_running and self.kv.fits(run.job.hashes, run.blocks)

    def _leave(self, run: Run) -> None:
        if run.lease is None:
            self._queue.remove(run)
        else:
            self.running -= 1
            self.kv.release(run.lease)
        self._machine.metrics.add("vllm:request_success_total", 1, f'finished_reason="{run.reason}"')
        self._fill()
