"""From counters to what happened within the last minute."""

import pytest

from aibrix_mw.pods.engine_metrics import WINDOW, EngineMetrics
from aibrix_mw.pods.window import STEP, EngineHistory, Increases


def counted(*readings):
    window = Increases()
    for now, value in readings:
        window.add({"c": value}, now)
    return window


def test_the_first_reading_says_nothing_of_the_engines_life():
    window = counted((0.0, 5000.0))
    assert (window.of("c"), window.rate("c"), window.of("other")) == (0.0, None, None)


def test_increases_and_rates():
    window = counted((0.0, 100.0), (1.0, 130.0), (10.0, 200.0))
    assert (window.of("c"), window.rate("c"), window.span) == (100.0, 10.0, 10.0)


def test_a_counter_that_falls_has_been_reset():
    assert counted((0.0, 100.0), (1.0, 130.0), (2.0, 7.0), (3.0, 9.0)).of("c") == 39.0


def test_what_is_older_than_the_window_is_out():
    readings = [(float(second), 1000.0 if second < 5 else 0.0) for second in range(200)]
    window = Increases()
    total = 0.0
    for now, increase in readings:
        total += increase
        window.add({"c": total}, now)
    assert window.of("c") == 0.0
    assert WINDOW <= window.span < WINDOW + STEP + 1
    assert len(window._marks) <= WINDOW / STEP + 2


def test_a_counter_that_appears_later_counts_from_there():
    window = counted((0.0, 1.0))
    window.add({"c": 2.0, "d": 500.0}, 10.0)
    window.add({"c": 3.0, "d": 520.0}, 20.0)
    assert (window.of("c"), window.of("d")) == (2.0, 20.0)


def test_ratios():
    window = Increases()
    window.add({"sum": 1.0, "count": 10.0}, 0.0)
    assert window.ratio("sum", "count") is None
    window.add({"sum": 4.0, "count": 16.0}, 1.0)
    assert window.ratio("sum", "count") == 0.5
    assert window.ratio("sum", "nothing") is window.ratio("nothing", "count") is None


VLLM = {
    "prompt_tokens": 1000.0,
    "generation_tokens": 400.0,
    "cache_hits": 500.0,
    "first_token.sum": 5.0,
    "first_token.count": 10.0,
    "queue.sum": 2.0,
    "queue.count": 10.0,
    "prefill.sum": 3.0,
    "prefill.count": 10.0,
    "decode.sum": 8.0,
    "decode.count": 10.0,
    "prompt_length.sum": 1000.0,
    "prompt_length.count": 10.0,
    "answer_length.sum": 400.0,
    "answer_length.count": 10.0,
    "output_token.sum": 0.3,
    "output_token.count": 10.0,
    "request.count": 10.0,
}


def after(increases, seconds=10.0, **gauges):
    """The report of an engine whose counters grew by this much in so many seconds."""
    history = EngineHistory()
    history.add(gauges, dict.fromkeys(increases, 77.0), 0.0, 3.0)
    return history.add(gauges, {name: 77.0 + by for name, by in increases.items()}, seconds, seconds + 3.0)


def test_a_worked_example():
    report = after(VLLM, running=2.0, waiting=1.0, kv_cache_usage=0.4)
    assert (report.expires, report.running, report.waiting, report.kv_cache_usage) == (13.0, 2.0, 1.0, 0.4)
    assert (report.prompt_tokens_rate, report.generation_tokens_rate) == (100.0, 40.0)
    assert report.queue_seconds == 0.2
    assert report.prefill_seconds == 0.003
    assert report.uncached_prefill_seconds == 0.006
    assert report.decode_seconds == 0.02
    assert report.generation_tokens == 40.0
    assert report.busy_share == 1.0


def test_an_engine_at_rest_reports_zeros_and_has_no_means():
    report = after(dict.fromkeys(VLLM, 0.0), running=0.0)
    assert (report.prompt_tokens_rate, report.generation_tokens_rate, report.busy_share) == (0.0, 0.0, 0.0)
    means = (report.queue_seconds, report.prefill_seconds, report.uncached_prefill_seconds, report.decode_seconds)
    assert (*means, report.generation_tokens) == (None,) * 5


def test_busy_is_the_share_of_the_window():
    history = EngineHistory()
    for second, running in enumerate([0, 1, 3, 0, 0, 1, 0, 0, 0, 0, 0]):
        report = history.add({"running": float(running)}, {}, float(second), 99.0)
    assert report.busy_share == pytest.approx(0.3)


def test_without_prefill_times_the_first_token_tells():
    told = {name: by for name, by in VLLM.items() if not name.startswith("prefill")}
    assert after(told).prefill_seconds == pytest.approx((5.0 - 2.0) / 1000)
    report = after({name: by for name, by in told.items() if not name.startswith("queue")})
    assert (report.queue_seconds, report.prefill_seconds) == (0.0, 0.005)


def test_without_lengths_of_requests_the_counters_tell():
    report = after({name: by for name, by in VLLM.items() if "length" not in name})
    assert report.prefill_seconds == 0.003
    assert report.generation_tokens == 40.0
    assert report.decode_seconds == pytest.approx(0.03)


def test_missing_is_not_zero():
    report = after({"prompt_tokens": 5.0})
    missing = set(report.__struct_fields__) - {"expires", "prompt_tokens_rate"}
    assert {getattr(report, field) for field in missing} == {None}
    assert after({**VLLM, "cache_hits": 2000.0}).uncached_prefill_seconds is None


def test_an_engine_may_tell_its_own_rate():
    assert after({}, generation_rate=12.5).generation_tokens_rate == 12.5


def test_what_the_window_does_not_cover_yet_is_as_it_was_said_before():
    """Weighted by time, which is exact for rates: 600 tokens in the 45 s before and 300 in 15 s are 15 a second."""
    before = EngineMetrics(expires=3.0, running=9.0, generation_tokens_rate=40 / 3, queue_seconds=0.5, busy_share=1.0)
    history = EngineHistory(before)
    report = history.add({"running": 0.0}, {"generation_tokens": 1000.0}, 0.0, 3.0)
    assert (report.running, report.generation_tokens_rate, report.busy_share) == (0.0, 40 / 3, 1.0)
    report = history.add({"running": 0.0}, {"generation_tokens": 1300.0}, 15.0, 18.0)
    assert report.generation_tokens_rate == pytest.approx(15.0)
    assert report.busy_share == pytest.approx(0.75)
    assert (report.queue_seconds, report.prefill_seconds, report.expires) == (0.5, None, 18.0)
    report = history.add({"running": 0.0}, {"generation_tokens": 1300.0}, WINDOW, 63.0)
    assert report.generation_tokens_rate == pytest.approx(5.0)
    assert report.queue_seconds is None
