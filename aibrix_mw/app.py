"""The gateway: every part made once, and stacked in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.admin import Exposition, create_admin
from aibrix_mw.endpoints import endpoints
from aibrix_mw.errors import ConfigurationError, Fault, UnknownStrategy
from aibrix_mw.filewatch import fingerprint, watch_file
from aibrix_mw.headers import Forwarder
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.middleware.gate import GateMiddleware
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.middleware.plan import PlanMiddleware
from aibrix_mw.middleware.profile import ProfileMiddleware
from aibrix_mw.middleware.request_id import RequestIdMiddleware
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.definitions import define_models
from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.scraper import Scraper
from aibrix_mw.pods.static import PodFile
from aibrix_mw.profiles import BUILT_IN, Reader
from aibrix_mw.proxy import Proxy, Timeouts, not_found
from aibrix_mw.retry import RetryBudget
from aibrix_mw.settings import Settings, from_dict, reloaded, restart_needed
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue, load_class
from aibrix_mw.upstream.fetch import Fetch
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.schemes import SchemeUpstream

logger = logging.getLogger("aibrix_mw")

Outer = Sequence[type[Any] | Middleware]
Strategies = Mapping[str, str | type[Strategy]]


def create_app(
    settings: Settings | Mapping[str, Any], *, outer: Outer = (), strategies: Strategies | None = None
) -> "Gateway":
    """Make a gateway; no I/O, and no event loop needed.

    `outer` are middlewares around the whole stack, outermost first; `strategies` adds names to the table.
    ConfigurationError with every fault.
    """
    checked = settings if isinstance(settings, Settings) else from_dict(settings)
    return Gateway(checked, outer, strategies)


class Gateway:
    """An ASGI application: serve it, or mount it. `admin` is its second application, for operators."""

    def __init__(self, settings: Settings, outer: Outer = (), strategies: Strategies | None = None) -> None:
        self.settings = settings
        self.lifecycle = Lifecycle()
        self.catalogue = _catalogue(settings, strategies or {})
        self.registry = PodRegistry(remember=settings.discovery.remember, own_options=self._own_options)
        define_models(self.registry, settings.models)
        self.registry.leaving.append(self.catalogue.forget)
        self.admission = _admission(settings, self.registry)
        self.upstream = SchemeUpstream(
            Http1Upstream(
                keepalive=settings.upstream.keepalive,
                max_header_bytes=settings.limits.max_header_bytes,
                max_headers=settings.limits.max_headers,
            )
        )
        file = settings.discovery.static.file
        self.pod_file = PodFile(file, self.registry) if file is not None else None
        self.settings_fault: Fault | None = None
        self.scraper = Scraper(
            self.registry,
            Fetch(self.upstream, settings.scrape.timeout),
            self._needs,
            interval=settings.scrape.interval,
        )
        self._background: list[Callable[[], Awaitable[None]]] = [self.scraper.run]
        if self.pod_file is not None:
            self._background.append(self.pod_file.watch)
        observer, exposition = self._metrics()
        self.stack = self._stack([*outer], observer)
        self.admin = create_admin(self.lifecycle, self.registry, self.faults, exposition)

    def _stack(self, outer: list[type[Any] | Middleware], observer: list[Middleware]) -> ASGIApp:
        """The whole request path, outermost first; each layer with the reason for its place."""
        settings, registry = self.settings, self.registry
        routing, limits = settings.routing, settings.limits
        paths = INFERENCE_PATHS | set(routing.extra_paths)
        layers = [
            *outer,
            # every answer carries an id, refusals included
            Middleware(RequestIdMiddleware),
            # outside of all that can refuse, so that every request is counted once
            *observer,
            # refusing is cheapest before the body is read
            Middleware(GateMiddleware, lifecycle=self.lifecycle, max_in_flight=limits.max_in_flight),
            # all that follows is about one model, and the body names it
            Middleware(
                ModelMiddleware,
                registry=registry,
                paths=paths,
                max_body_bytes=limits.max_body_bytes,
                max_replay_bytes=limits.max_replay_bytes,
                allow_transfer_params=routing.allow_transfer_params,
                trust_user_header=settings.users.trust_header,
            ),
            # strategy and limits are options of the profile
            Middleware(
                ProfileMiddleware,
                registry=registry,
                paths=paths,
                client_may_choose="config-profile" in routing.client_headers,
            ),
            # what cannot be routed is refused before it costs anything
            Middleware(
                PlanMiddleware,
                registry=registry,
                catalogue=self.catalogue,
                paths=paths,
                default_strategy=routing.default_strategy,
                client_headers=routing.client_headers,
                expose_target=routing.expose_target,
            ),
            # chooses and holds the pod; directly around the proxy, because it repeats what fails there
            Middleware(
                RoutingMiddleware,
                registry=registry,
                paths=paths,
                attempts=routing.attempts,
                budget=RetryBudget(routing.retry_budget, routing.retry_floor),
                admission=self.admission,
            ),
        ]
        app: ASGIApp = self._proxy(paths)
        for layer in reversed(layers):
            made = layer if isinstance(layer, Middleware) else Middleware(layer)
            app = made.cls(app, *made.args, **made.kwargs)
        return app

    def _proxy(self, paths: frozenset[str]) -> Proxy:
        upstream = self.settings.upstream
        return Proxy(
            self.upstream,
            forwarder=Forwarder(self.settings.listen.trusted_proxies),
            timeouts=Timeouts(
                upstream.connect_timeout, upstream.first_byte_timeout, upstream.response_timeout, upstream.idle_timeout
            ),
            max_body_bytes=self.settings.limits.max_body_bytes,
            paths=paths,
            elsewhere=endpoints(self.lifecycle, self.registry, not_found),
        )

    def _metrics(self) -> tuple[list[Middleware], Exposition | None]:
        """The metrics layer and what the admin port exposes; prometheus_client is imported only when they are on."""
        if not self.settings.metrics.enabled:
            return [], None
        try:
            from aibrix_mw.middleware.metrics import MetricsMiddleware
            from aibrix_mw.telemetry.metrics import GatewayMetrics
        except ImportError as error:
            reason = "needs prometheus_client: pip install 'aibrix-mw[metrics]', or set it to false"
            raise ConfigurationError([Fault("metrics.enabled", reason)]) from error
        metrics = GatewayMetrics(
            self.registry,
            per_pod=self.settings.metrics.per_pod,
            strategies=self.catalogue,
            ejected=self.admission.ejection.ejected,
        )
        return [Middleware(MetricsMiddleware, metrics=metrics)], metrics.exposition

    def _own_options(self, spec: str) -> Mapping[str, Reader]:
        """Keys of routingConfig that only the strategy of this name reads; without a name it is the default one."""
        return self.catalogue.own_options(spec or self.settings.routing.default_strategy)

    def _needs(self, model: str) -> frozenset[str]:
        """What strategies want to know of the model's engines."""
        served = self.registry.find(model)
        config = served.config if served is not None else BUILT_IN
        return self.catalogue.needs(model, config, self.settings.routing.default_strategy)

    # --- the life of a gateway

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Discover pods and take requests for the length of the block; for the host application's lifespan."""
        self._read_files()
        tasks = [asyncio.ensure_future(work()) for work in self._background]
        self.lifecycle.running = True
        try:
            yield self
        finally:
            self.lifecycle.running = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.upstream.aclose()

    def _read_files(self) -> None:
        if self.pod_file is not None:
            self.pod_file.load()
        key_file = self.settings.routing.session_key_file
        if key_file is not None:
            try:
                key = Path(key_file).read_bytes().strip()
            except OSError as error:
                raise ConfigurationError([Fault("routing.session_key_file", f"{key_file}: {error.strerror}")]) from None
            self.catalogue.preset("session-affinity", {"sessionKey": key[:64]})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or run for as long as the server's lifespan says."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self.stack(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    # --- settings that change

    def faults(self) -> list[Fault]:
        """What is wrong with the configuration now."""
        file_fault = self.pod_file.fault if self.pod_file is not None else None
        return [*self.registry.faults(), *(fault for fault in (file_fault, self.settings_fault) if fault is not None)]

    def follow(self, file: Path, read: Callable[[], Settings]) -> None:
        """Take over `models`, `users` and `log.level` whenever the settings file changes, from `running()` on."""
        since = fingerprint(file)

        def changed() -> None:
            try:
                self.reload(read())
            except ConfigurationError as error:
                if self.settings_fault != error.faults[0]:
                    logger.error("%s: %s; the last good version stays", file, error)
                self.settings_fault = error.faults[0]

        self._background.append(lambda: watch_file(file, changed, since=since))

    def reload(self, fresh: Settings) -> None:
        """Take over what can change at once; report what needs a restart. ConfigurationError changes nothing."""
        define_models(self.registry, fresh.models)
        for path in restart_needed(self.settings, fresh):
            logger.warning("settings: %s has changed and needs a restart", path)
        self.settings = reloaded(self.settings, fresh)
        self.settings_fault = None
        logger.info("settings: read again")


def _admission(settings: Settings, registry: PodRegistry) -> Admission:
    ejection = settings.ejection
    watch = Ejection(
        consecutive_failures=ejection.consecutive_failures,
        base=ejection.base,
        cap=ejection.cap,
        max_share=ejection.max_share,
    )
    return Admission(registry, watch, settings.routing.slow_start)


def _catalogue(settings: Settings, strategies: Strategies) -> Catalogue:
    for found in strategies.values():
        if isinstance(found, str):
            load_class(found)
    catalogue = Catalogue(strategies)
    try:
        catalogue.get(settings.routing.default_strategy)
    except UnknownStrategy as error:
        raise ConfigurationError([Fault("routing.default_strategy", f"{error.message}: {error.reason}")]) from None
    return catalogue
