"""What a gateway tells operators of itself: `/status.json`, and the page that shows it."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aibrix_mw import __version__
from aibrix_mw.errors import Fault
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.limiting.levels import Level, levels
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.model import ModelQuotas
from aibrix_mw.pods.churn import Churn
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry, Served
from aibrix_mw.pods.roles import role_of
from aibrix_mw.profiles import ConfigProfile, ModelConfig
from aibrix_mw.refusals import Refusals

if TYPE_CHECKING:  # needs an extra
    from aibrix_mw.telemetry.recent import RecentSpan, RecentTrace

_PAGE = Path(__file__).with_name("status.html")
# of what spans know, what is shown: names and numbers, nothing that a client wrote at length
_SHOWN = ("aibrix_mw.pod", "aibrix_mw.fallback", "aibrix_mw.limit.decision", "error.type")

State = dict[str, Any]
Limits = Mapping[tuple[str, str], State]


@cache
def page() -> bytes:
    """The page: one file that loads nothing but `status.json`."""
    return _PAGE.read_bytes()


class Sources(NamedTuple):
    """Where the status comes from. `traces` is None where none are kept."""

    lifecycle: Lifecycle
    registry: PodRegistry
    faults: Callable[[], list[Fault]]
    limiter: Limiter | SharedLimiter
    quotas: ModelQuotas
    refusals: Refusals
    ejected: Callable[[], Iterable[Pod]]
    gateways: Callable[[], int]
    traces: Callable[[], "list[RecentTrace] | None"]
    watched: Callable[[], None]
    default_strategy: str


class Status:
    """Reads everything anew at each call; of limits it looks at the counts and takes nothing."""

    def __init__(self, sources: Sources, clock: Callable[[], float] = time.monotonic) -> None:
        self.sources = sources
        self.clock = clock

    async def read(self) -> State:
        """The status as JSON has it; times are since the epoch, and engines are asked for more for a while."""
        sources = self.sources
        sources.watched()
        by, limits = await self._limits()
        reason = sources.lifecycle.not_ready()
        traces = sources.traces()
        return {
            "version": __version__,
            "time": time.time(),
            "ready": reason is None,
            "status": reason or "ready",
            "gateways": sources.gateways(),
            "counted_by": by,
            "models": self._models(limits),
            "faults": [{"path": fault.path, "reason": fault.reason} for fault in sources.faults()],
            "refusals": msgspec.to_builtins(sources.refusals.last()),
            "traces": None if traces is None else [_trace(trace) for trace in traces],
        }

    async def _limits(self) -> tuple[str, Limits]:
        """Who counts, and the state of each limit by model and profile; profile "" is all of the model's."""
        quotas = self.sources.quotas.of_all()
        found = await levels(self.sources.limiter, list(quotas.values()))
        if quotas and not found.groups:
            return found.by, {key: _uncounted(group[0].limit, group[0].per) for key, group in quotas.items()}
        return found.by, {key: _limit(group[0]) for key, group in zip(quotas, found.groups, strict=True)}

    def _models(self, limits: Limits) -> State:
        registry = self.sources.registry
        names, ejected = registry.names(), frozenset(self.sources.ejected())
        return {
            model: self._model(model, pods, names, ejected, limits) for model, pods in sorted(registry.models().items())
        }

    def _model(
        self, model: str, pods: tuple[Pod, ...], names: dict[str, Served], ejected: Collection[Pod], limits: Limits
    ) -> State:
        config = self.sources.registry.config(model)
        churn, now = self.sources.registry.churn, self.clock()
        return {
            "names": sorted(name for name, served in names.items() if served.model == model),
            "ready_pods": sum(pod.info.excluded is None for pod in pods),
            "limit": limits.get((model, "")),
            "profiles": [self._profile(config, profile, limits.get((model, name))) for name, profile in _used(config)],
            "pods": [
                _pod(pod, churn, now) | {"ejected": pod in ejected}
                for pod in sorted(pods, key=lambda pod: (pod.info.namespace, pod.info.name))
            ],
        }

    def _profile(self, config: ModelConfig, profile: ConfigProfile, limit: State | None) -> State:
        return {
            "name": profile.name,
            "default": profile.name == config.default_profile,
            "strategy": config.locked_routing_strategy or profile.routing_strategy or self.sources.default_strategy,
            "in_flight": profile.requests_inflight,
            "limit": limit,
        }


def _used(config: ModelConfig) -> list[tuple[str, ConfigProfile]]:
    """The profiles of a model; of one that nobody configured the built-in one."""
    return list(config.profiles.items()) or [(config.select().name, config.select())]


def _limit(level: Level) -> State:
    return _uncounted(level.quota.limit, level.quota.per) | {"used": level.used, "left": level.left}


def _uncounted(limit: int, per: float) -> State:
    return {"limit": limit, "per": per, "used": None, "left": None}


def _pod(pod: Pod, churn: Churn, now: float) -> State:
    info, role, report = pod.info, role_of(pod.info), pod.metrics
    if report is not None and report.expires <= now:
        report = None
    return {
        "name": info.name,
        "namespace": info.namespace,
        "uid": info.uid,
        "address": info.address.netloc if info.address else None,
        "role": f"{role.name} of {role.roleset}" if role is not None else None,
        "ready": info.excluded is None,
        "excluded": info.excluded,
        "flapping": churn.is_flapping(pod.uid),
        "in_flight": pod.in_flight,
        "running": report.running if report is not None else None,
        "waiting": report.waiting if report is not None else None,
        "kv_cache_usage": report.kv_cache_usage if report is not None else None,
        "first_token": pod.latency.first_token.read(now),
        "output_token": pod.latency.output_token.read(now),
    }


def _trace(trace: "RecentTrace") -> State:
    server = next(span for span in trace.spans if span.kind == "server")
    return {
        "id": trace.id,
        "time": trace.time,
        "seconds": trace.seconds,
        "error": trace.error,
        "outcome": server.attributes.get("aibrix_mw.outcome"),
        "strategy": server.attributes.get("aibrix_mw.strategy"),
        "spans": [_span(span) for span in trace.spans],
    }


def _span(span: "RecentSpan") -> State:
    shown = [str(span.attributes[name]) for name in _SHOWN if name in span.attributes and span.kind != "server"]
    return {
        "name": span.name,
        "label": " · ".join([span.name.removeprefix("aibrix_mw."), *shown]),
        "kind": span.kind,
        "role": span.attributes.get("aibrix_mw.role"),
        "offset": span.offset,
        "seconds": span.seconds,
        "error": span.error,
        "events": [list(event) for event in span.events],
    }
