"""Series out of Prometheus text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from aibrix_mw.pods.exposition import LOOK_AGAIN, SeriesReader

TEXT = b"""# HELP vllm:running Requests. vllm:running is a gauge.
# TYPE vllm:running gauge
vllm:running{engine="0",model_name="a b}c"} 3.0
vllm:running{engine="1",model_name="x"} 4.0
# TYPE vllm:running_total counter
vllm:running_total 9
# TYPE vllm:time histogram
vllm:time_bucket{le="1.0"} 1.0
vllm:time_bucket{le="+Inf"} 2.0
vllm:time_sum 1.5 1700000000000
vllm:time_count 2.0
last 1e-3"""


def read(text, *names):
    return SeriesReader(names).read(text)


def test_samples_by_series():
    assert read(TEXT, b"vllm:running", b"vllm:running_total", b"vllm:time_sum", b"vllm:time_count", b"last") == {
        b"vllm:running": [3.0, 4.0],
        b"vllm:running_total": [9.0],
        b"vllm:time_sum": [1.5],
        b"vllm:time_count": [2.0],
        b"last": [0.001],
    }


def test_a_series_at_the_very_beginning():
    assert read(b"a 1\nb 2\n", b"a", b"b") == {b"a": [1.0], b"b": [2.0]}


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-Inf", b"nan", b"", b"x", b"1,5"])
def test_what_is_no_finite_number_is_missing(value):
    assert read(b"a " + value + b"\n", b"a") == {}
    assert read(b'a{e="0"} 1\na{e="1"} ' + value + b"\n", b"a") == {b"a": [1.0]}


@pytest.mark.parametrize("text", [b"", b"\n\n", b"xa 1\n", b"ab 1\n", b"# a 1\n", b"a", b"a_sum 1\n"])
def test_what_is_no_sample_of_the_series(text):
    assert read(text, b"a") == {}


def test_the_order_may_change_between_readings():
    reader = SeriesReader([b"a", b"b", b"c"])
    for text in (b"a 1\nb 2\nc 3\n", b"c 3\na 1\nb 2\n", b"b 2\nc 3\n"):
        assert reader.read(text) == {b"abc"[i : i + 1]: [i + 1.0] for i in range(3) if b"abc"[i : i + 1] in text}


@pytest.mark.parametrize("filler", [0, 10, 3000])
def test_a_text_that_becomes_shorter_or_longer(filler):
    """The place where a series was may be in the midst of it now, or after it."""
    lines = b"".join(b'a{rank="%d"} %d\n' % (rank, rank) for rank in range(100))
    reader = SeriesReader([b"a", b"b"])
    for before in (1000, filler, 5000, 1100):
        text = b"# " + b"x" * before + b"\n" + lines + b"b 1\n"
        assert reader.read(text) == {b"a": [float(rank) for rank in range(100)], b"b": [1.0]}


def test_what_was_absent_is_looked_for_now_and_then():
    reader = SeriesReader([b"a", b"late"])
    assert reader.read(b"a 1\n") == {b"a": [1.0]}
    text = b"a 1\nlate 2\n"
    found = [b"late" in reader.read(text) for _ in range(LOOK_AGAIN)]
    assert found == [False] * (LOOK_AGAIN - 1) + [True]
    assert b"late" in reader.read(text)


label_values = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\\n\r', exclude_categories=("Cc", "Zl", "Zp"))
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.tuples(label_values, st.floats(0, 1e9)), min_size=1)))
def test_it_reads_what_prometheus_reads(families):
    text = "".join(
        f"# TYPE m_{name} gauge\n"
        + "".join(f'm_{name}{{n="{index}",v="{label}"}} {value!r}\n' for index, (label, value) in enumerate(samples))
        for name, samples in families.items()
    )
    expected = {
        family.name.encode(): [sample.value for sample in family.samples]
        for family in text_string_to_metric_families(text)
    }
    assert read(text.encode(), b"m_a", b"m_b", b"m_c", b"m_d") == expected
