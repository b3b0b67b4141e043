import math

import pytest

from aibrix_mw.engine.options import EngineOptions


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", ()),
        ("models", ("",)),
        ("adapters", ("",)),
        ("name", ""),
        ("name", " "),
        ("name", "pod\r\nx: y"),
        ("name", "pöd"),
        ("load_seconds", -1),
        ("load_seconds", math.nan),
        ("prefill_tokens_per_second", 0),
        ("decode_tokens_per_second", math.nan),
        ("max_running", 0),
        ("kv_blocks", 0),
        ("block_tokens", -1),
        ("default_max_tokens", 0),
    ],
)
def test_an_impossible_value_is_refused_by_name(field, value):
    message = "models" if field == "adapters" else field
    with pytest.raises(ValueError, match=message):
        EngineOptions(**{"models": ("m",), field: value})


def test_names():
    options = EngineOptions(models=("m", "alias"), adapters=("lora",), kv_blocks=10, block_tokens=4)
    assert options.model == "m"
    assert options.max_model_len == 40
    assert [options.serves(name) for name in ("m", "alias", "lora", "other")] == [True, True, True, False]


def test_infinite_speed_is_allowed():
    assert EngineOptions(models=("m",), decode_tokens_per_second=math.inf).decode_tokens_per_second == math.inf
