"""The layers that write down what requests do, beside those that count: access log, spans.

And whether and where a served process traces; nothing of OpenTelemetry is imported unless it does.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.middleware.access_log import AccessLogMiddleware
from aibrix_mw.middleware.spans import AttemptSpanMiddleware, RouteSpanMiddleware
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import Settings

if TYPE_CHECKING:
    from aibrix_mw.telemetry.otel import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def exports(environment: Mapping[str, str]) -> bool:
    """Whether the variables name somewhere to send traces to; ConfigurationError where we cannot send them there."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter not in {"", "none", "otlp"}:
        raise ConfigurationError([Fault("OTEL_TRACES_EXPORTER", f"{exporter}: only otlp and none are supported")])
    if exporter == "none" or not (exporter or any(environment.get(variable) for variable in _ENDPOINTS)):
        return False
    for variable in _PROTOCOLS:
        if environment.get(variable, "http/protobuf") != "http/protobuf":
            raise ConfigurationError([Fault(variable, f"{environment[variable]}: only http/protobuf is supported")])
    return True


def open_tracing(settings: Settings, environment: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Tracing as the OTEL_* variables say, None where they name no exporter."""
    return _open(settings, environment, export=True) if exports(environment) else None


def keep_traces(settings: Settings) -> "Tracing":
    """Tracing that sends nothing: only the last traces are kept."""
    return _open(settings, {}, export=False)


def _open(settings: Settings, environment: Mapping[str, str], *, export: bool) -> "Tracing":
    try:
        from aibrix_mw.telemetry.otel import Tracing, otlp_exporter
    except ImportError as error:
        reason = "needs the OpenTelemetry SDK: pip install 'aibrix-mw[otel]', or set OTEL_TRACES_EXPORTER=none"
        raise ConfigurationError([Fault("OTEL_TRACES_EXPORTER", reason)]) from error
    return Tracing(settings.tracing.sample_ratio, otlp_exporter() if export else None, environment)


def tracing_layers(settings: Settings, tracing: "Tracing | None") -> list[Middleware]:
    """What a gateway has outside of all else to be traced."""
    if tracing is None:
        return []
    from aibrix_mw.middleware.tracing import TracingMiddleware

    return [
        Middleware(
            TracingMiddleware,
            tracer_provider=tracing.provider,
            sample_ratio=tracing.sample_ratio,
            trust_parent=settings.tracing.trust_parent,
            capture_text=settings.tracing.capture_text,
            paths=INFERENCE_PATHS | set(settings.routing.extra_paths),
        )
    ]


def span_layers(
    outer: Sequence[Middleware], registry: PodRegistry, ejected: Callable[[], Iterable[Pod]]
) -> tuple[list[Middleware], list[Middleware]]:
    """What a trace needs around routing and around the proxy; nothing where no TracingMiddleware is outside."""
    tracing = sys.modules.get("aibrix_mw.middleware.tracing")  # who names it has imported it
    if tracing is None or not any(layer.cls is tracing.TracingMiddleware for layer in outer):
        return [], []
    return [Middleware(RouteSpanMiddleware, registry=registry, ejected=ejected)], [Middleware(AttemptSpanMiddleware)]


def access_log(settings: Settings, registry: PodRegistry) -> list[Middleware]:
    """The access log as `log.access` says."""
    if settings.log.access == "none":
        return []
    layer = Middleware(
        AccessLogMiddleware,
        only_errors=settings.log.access == "errors",
        registry=registry,
        client_may_choose="config-profile" in settings.routing.client_headers,
    )
    return [layer]
