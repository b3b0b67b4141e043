import asyncio

import pytest

from aibrix_mw.engine.metrics import EngineMetrics
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.scheduler import Job, Scheduler


@pytest.fixture
def engine(time):
    """A scheduler at 10 prompt tokens and 2 output tokens a second, and a way to run jobs on it."""

    class Rig:
        def __init__(self, **options):
            defaults = {"models": ("m",), "prefill_tokens_per_second": 10, "decode_tokens_per_second": 2}
            self.options = EngineOptions(**{**defaults, **options})
            self.metrics = EngineMetrics("m")
            self.scheduler = Scheduler(self.options, self.metrics, time.clock, time.sleep)

        def run(self, job):
            return asyncio.create_task(self._run(job))

        async def _run(self, job):
            times = []
            async with self.scheduler.slot(job) as run:
                for _ in range(job.max_tokens):
                    await run.token()
                    times.append(round(time.now, 6))
                run.finish("length")
            return times, run.cached_tokens

        @property
        def counts(self):
            return self.scheduler.running, self.scheduler.waiting, self.scheduler.kv.used

        def finished(self, reason):
            return self.metrics.value("vllm:request_success_total", f'finished_reason="{reason}"')

    return Rig


async def test_prefill_then_one_token_per_step(engine, time):
    rig = engine()
    task = rig.run(Job(30, 3))
    await time.advance(10)
    assert await task == ([3.0, 3.5, 4.0], 0)
    assert rig.counts == (0, 0, 0)
    assert rig.finished("length") == 1


async def test_first_come_first_served_in_bounded_slots(engine, time):
    rig = engine(max_running=2)
    tasks = [rig.run(Job(10, 1)) for _ in range(5)]
    await time.advance(0)
    assert rig.counts[:2] == (2, 3)
    await time.advance(5)
    assert [times for (times, _) in await asyncio.gather(*tasks)] == [[1.0], [1.0], [2.0], [2.0], [3.0]]


async def test_a_job_waits_for_blocks_and_the_queue_waits_behind_it(engine, time):
    rig = engine(kv_blocks=4, block_tokens=10)
    big, bigger, small = rig.run(Job(20, 10)), rig.run(Job(20, 20)), rig.run(Job(9, 1))
    await time.advance(0)
    assert rig.counts == (1, 2, 3)
    await time.advance(60)
    (a, _), (b, _), (c, _) = await asyncio.gather(big, bigger, small)
    assert (a[-1], b[0], b[-1], c) == (6.5, 8.5, 18.0, [18.9])


async def test_a_cached_prefix_costs_no_prefill(engine, time):
    rig = engine(block_tokens=4)
    first = rig.run(Job(10, 1, (1, 2)))
    await time.advance(1)
    second = rig.run(Job(14, 1, (1, 2, 3)))
    await time.advance(1)
    assert (await first)[1] == 0
    assert await second == ([1.6], 8)
    assert rig.metrics.value("vllm:prefix_cache_queries_total") == 24
    assert rig.metrics.value("vllm:prefix_cache_hits_total") == 8
    assert rig.metrics.value("vllm:prompt_tokens_by_source_total", 'source="local_compute"') == 16
    assert rig.metrics.value("vllm:prompt_tokens_by_source_total", 'source="local_cache_hit"') == 8


async def test_the_block_of_the_last_prompt_token_is_computed_again(engine, time):
    rig = engine(block_tokens=4)
    for _ in range(2):
        task = rig.run(Job(8, 1, (1, 2)))
        await time.advance(1)
    assert (await task)[1] == 4


async def test_leaving_while_queued(engine, time):
    rig = engine(max_running=1)
    first, second, third = (rig.run(Job(10, 1)) for _ in range(3))
    await time.advance(0.5)
    second.cancel()
    await time.advance(0)
    assert rig.counts[:2] == (1, 1)
    await time.advance(5)
    assert (await first)[0] == [1.0]
    assert (await third)[0] == [2.0]
    assert second.cancelled()
    assert rig.finished("abort") == 1


async def test_leaving_while_running_frees_slot_and_blocks_at_once(engine, time):
    rig = engine(max_running=1)
    first, second = rig.run(Job(100, 10)), rig.run(Job(10, 1))
    await time.advance(2)
    first.cancel()
    await time.advance(0)
    assert rig.counts == (1, 0, 1)
    await time.advance(1)
    assert (await second)[0] == [3.0]
    assert rig.counts == (0, 0, 0)
    assert (rig.finished("abort"), rig.finished("length")) == (1, 1)


async def test_leaving_in_the_very_turn_in_which_the_slot_comes(engine, time):
    rig = engine(max_running=1)
    first, second, third = (rig.run(Job(10, 1)) for _ in range(3))
    await time.advance(0.5)
    first.cancel()
    second.cancel()
    await time.advance(2)
    assert (await third)[0] == [1.5]
    assert rig.counts == (0, 0, 0)
    assert rig.finished("abort") == 2


async def test_an_aborted_prefill_is_not_cached(engine, time):
    rig = engine(block_tokens=4)
    task = rig.run(Job(8, 1, (1, 2)))
    await time.advance(0.1)
    task.cancel()
    await time.advance(0)
    assert rig.scheduler.kv.cached == 0


async def test_a_job_that_never_fits_is_refused(engine):
    rig = engine(kv_blocks=2, block_tokens=4)
    with pytest.raises(ValueError, match="more than 8 tokens"):
        await rig.run(Job(8, 1))
    assert rig.counts == (0, 0, 0)


async def test_overslept_time_does_not_add_up(time):
    slept = []

    async def sleep(seconds):
        slept.append(round(seconds, 6))
        time.now += seconds + 0.1

    options = EngineOptions(models=("m",), prefill_tokens_per_second=10, decode_tokens_per_second=2)
    scheduler = Scheduler(options, EngineMetrics("m"), time.clock, sleep)
    async with scheduler.slot(Job(10, 3)) as run:
        for _ in range(3):
            await run.token()
    assert slept == [1.0, 0.4, 0.4]


async def test_histograms(engine, time):
    rig = engine(max_running=1)
    tasks = [rig.run(Job(20, 3)) for _ in range(2)]
    await time.advance(10)
    await asyncio.gather(*tasks)
    text = rig.metrics.render(
        dict.fromkeys(("vllm:num_requests_running", "vllm:num_requests_waiting"), 0) | {"vllm:kv_cache_usage_perc": 0}
    )
    sums = {
        line.split("{")[0].removeprefix("vllm:"): float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if "_sum{" in line
    }
    assert sums == pytest.approx(
        {
            "time_to_first_token_seconds_sum": 2 + 5,
            "inter_token_latency_seconds_sum": 4 * 0.5,
            "request_time_per_output_token_seconds_sum": 2 * 0.5,
            "e2e_request_latency_seconds_sum": 3 + 6,
            "request_queue_time_seconds_sum": 3,
            "request_inference_time_seconds_sum": 6,
            "request_prefill_time_seconds_sum": 4,
            "request_decode_time_seconds_sum": 2,
            "request_prompt_tokens_sum": 40,
            "request_generation_tokens_sum": 6,
        }
    )
