"""When a served process traces."""

from typing import Any

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.parts.observing import exports, keep_traces, open_tracing, tracing_layers
from aibrix_mw.settings import from_dict

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("expected", "variables"),
    [
        (False, {}),
        (True, ENDPOINT),
        (True, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"}),
        (True, {"OTEL_TRACES_EXPORTER": "otlp"}),
        (True, ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}),
        (False, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}),
        (False, ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}),
    ],
)
def test_traces_are_sent_where_the_variables_name_an_exporter(expected, variables):
    assert exports(variables) == expected


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "zipkin: only otlp and none are supported"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc: only http/protobuf is supported"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/json: only http/protobuf is supported"),
    ],
)
def test_what_is_not_supported_stops_the_start(variable, value, reason):
    with pytest.raises(ConfigurationError) as caught:
        open_tracing(from_dict({}), ENDPOINT | {variable: value})
    (fault,) = caught.value.faults
    assert (fault.path, fault.reason) == (variable, reason)


def test_without_the_sdk_the_reason_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aibrix_mw.telemetry.otel", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aibrix-mw\[otel\]'"):
        open_tracing(from_dict({}), ENDPOINT)


def test_off_there_is_no_layer():
    settings = from_dict({})
    assert open_tracing(settings, {}) is None
    assert tracing_layers(settings, None) == []


@pytest.mark.parametrize(("sampler", "ratio"), [({}, 0.25), ({"OTEL_TRACES_SAMPLER": "always_on"}, None)])
def test_the_standard_sampler_wins_over_the_setting(sampler, ratio, monkeypatch):
    for name, value in sampler.items():
        monkeypatch.setenv(name, value)
    settings = from_dict({"tracing": {"sample_ratio": 0.25, "trust_parent": True}, "routing": {"extra_paths": ["/x"]}})
    tracing = open_tracing(settings, ENDPOINT | sampler)
    (layer,) = tracing_layers(settings, tracing)
    options: dict[str, Any] = layer.kwargs
    assert options["sample_ratio"] == ratio
    assert options["trust_parent"]
    assert "/x" in options["paths"]
    tracing.close()


def test_the_demo_keeps_traces_and_sends_none():
    tracing = keep_traces(from_dict({"tracing": {"sample_ratio": 1.0}}))
    tracing.provider.get_tracer("test").start_span("one").end()
    assert tracing.dropped == 0
    tracing.close()
