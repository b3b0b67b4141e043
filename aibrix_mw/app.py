"""The gateway: every part made once, and stacked in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.endpoints import endpoints
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.lag import LoopLag
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.limiting.model import ModelQuotas
from aibrix_mw.middleware.disaggregation import DisaggregationMiddleware
from aibrix_mw.middleware.gate import GateMiddleware
from aibrix_mw.middleware.keepalive import KeepaliveMiddleware
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.middleware.plan import PlanMiddleware
from aibrix_mw.middleware.profile import ProfileMiddleware
from aibrix_mw.middleware.ratelimit import RateLimitMiddleware, quoting
from aibrix_mw.middleware.request_id import RequestIdMiddleware
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.middleware.strict_http import StrictHttpMiddleware
from aibrix_mw.parts.access import Access, cross_origin
from aibrix_mw.parts.choosing import Choosing, Strategies
from aibrix_mw.parts.counting import Counting
from aibrix_mw.parts.discovery import Discovery
from aibrix_mw.parts.extras import metrics_layer
from aibrix_mw.parts.forwarding import Forwarding
from aibrix_mw.parts.live import LiveSettings
from aibrix_mw.parts.observing import access_log, span_layers
from aibrix_mw.parts.operating import admin_of
from aibrix_mw.parts.sharing import Sharing
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.proxy import not_found
from aibrix_mw.refusals import Refusals
from aibrix_mw.retry import RetryBudget
from aibrix_mw.settings import Settings, UsersSettings, from_dict
from aibrix_mw.waiting_room import WaitingRoom

if TYPE_CHECKING:  # needs an extra
    from aibrix_mw.telemetry.otel import Tracing

Outer = Sequence[type[Any] | Middleware]


def create_app(
    settings: Settings | Mapping[str, Any], *, outer: Outer = (), strategies: Strategies | None = None
) -> "Gateway":
    """Make a gateway; no I/O, and no event loop needed.

    `outer` are middlewares around the whole stack, outermost first; `strategies` adds names to the table.
    ConfigurationError with every fault.
    """
    return Gateway(settings if isinstance(settings, Settings) else from_dict(settings), outer, strategies)


class Gateway:
    """An ASGI application: serve it, or mount it. `admin` is its second application, for operators."""

    def __init__(self, settings: Settings, outer: Outer = (), strategies: Strategies | None = None) -> None:
        self.lifecycle = Lifecycle()
        self.room = WaitingRoom(settings.limits.waiting_room.size, settings.limits.waiting_room.deadline)
        self.choosing = Choosing(settings, strategies or {})
        self.catalogue = self.choosing.catalogue
        self.registry = self.choosing.registry
        self.live = LiveSettings(settings, self.registry)
        self.paths = INFERENCE_PATHS | set(settings.routing.extra_paths)
        self.forwarding = Forwarding(settings)
        self.upstream = self.forwarding.upstream
        self.discovery = Discovery(settings, self.registry, self.lifecycle)
        self.access = Access(settings.auth)
        self.counting = Counting(settings.store, settings.rate_limit, self.lifecycle)
        self.quotas = ModelQuotas(self.registry)
        self.sharing = Sharing(settings, self.registry, self.counting, self.catalogue)
        self.scraper = self.choosing.scraper(settings.scrape, self.upstream, self.sharing.scrapes)
        parts = (self.discovery, self.access, self.counting, self.sharing)
        self._background = [watch for part in parts for watch in part.watchers()]
        self._background += [self.scraper.run, LoopLag(self.lifecycle, settings.limits.max_loop_lag).run]
        self.layers: dict[Any, Any] = {}
        self.tracing: Tracing | None = None  # whoever sets traces up says so here
        self.refusals = Refusals()
        observer, exposition = metrics_layer(
            settings,
            self.registry,
            self.catalogue,
            followed=self.discovery.kubernetes,
            limiter=self.counting.limiter,
            quotas=self.quotas,
            refusals=self.refusals,
            ejected=self.choosing.admission.ejection.ejected,
            spans_dropped=lambda: self.tracing.dropped if self.tracing is not None else 0,
        )
        own = [layer if isinstance(layer, Middleware) else Middleware(cast(Any, layer)) for layer in outer]
        self.stack = self._stacked(self._layers(own, observer))
        self.admin = admin_of(self, exposition)

    @property
    def settings(self) -> Settings:
        """What applies now."""
        return self.live.now

    def _layers(self, outer: list[Middleware], observer: list[Middleware]) -> list[Middleware]:
        """The whole request path, outermost first; each layer with the reason for its place.

        One list, and so a long function: what is read here from top to bottom is what a request goes through.
        """
        settings, registry, paths = self.settings, self.registry, self.paths
        routing, limits, comments = settings.routing, settings.limits, settings.stream.keepalive
        served: dict[str, Any] = {"registry": registry, "paths": paths}
        choice_spans, attempt_spans = span_layers(outer, registry, self.choosing.admission.ejection.ejected)
        return [
            *outer,
            # every answer carries an id, refusals included
            Middleware(RequestIdMiddleware),
            # outside of all that can refuse, so that every request is counted once
            *observer,
            *access_log(settings, registry),
            # browsers hear of refusals too
            *cross_origin(settings.cors),
            # all that follows relies on there being one request, with one meaning
            Middleware(StrictHttpMiddleware, max_header_bytes=limits.max_header_bytes, max_headers=limits.max_headers),
            # refusing is cheapest before the body is read
            Middleware(GateMiddleware, lifecycle=self.lifecycle, max_in_flight=limits.max_in_flight),
            # who asks is known by the head alone
            *self.access.at_the_door(paths),
            # all that follows is about one model, and the body names it
            Middleware(
                ModelMiddleware,
                **served,
                max_body_bytes=limits.max_body_bytes,
                max_replay_bytes=limits.max_replay_bytes,
                max_buffered_bytes=limits.max_buffered_bytes,
                allow_transfer_params=routing.allow_transfer_params,
                trust_user_header=settings.users.trust_header,
                isolate_tenants=settings.prefix_cache.isolate == "tenant",
            ),
            # strategy and limits are options of the profile
            Middleware(ProfileMiddleware, **served, client_may_choose="config-profile" in routing.client_headers),
            *self.access.inside(registry, paths),
            # from here on it may take a while
            *([Middleware(KeepaliveMiddleware, interval=comments, paths=paths)] if comments else []),
            # what cannot be routed is refused before it costs anything
            Middleware(
                PlanMiddleware,
                **served,
                catalogue=self.catalogue,
                default_strategy=routing.default_strategy,
                client_headers=routing.client_headers,
                expose_target=routing.expose_target,
                room=self.room,
            ),
            # outside of the models' limits: those are shared by all users
            *([Middleware(self.sharing.limit_users, paths=paths)] if self.sharing.limits_users(settings.users) else []),
            # a request that passes goes to a pod at once, or gives back what it took
            Middleware(RateLimitMiddleware, quota=quoting(self.quotas), limiter=self.counting.limiter, paths=paths),
            *choice_spans,
            # chooses and holds the pod; around all that asks engines, because it repeats what fails there
            Middleware(
                RoutingMiddleware,
                **served,
                attempts=routing.attempts,
                budget=RetryBudget(routing.retry_budget, routing.retry_floor),
                admission=self.choosing.admission,
            ),
            # where the choice is a pair, the prompt is computed before the answer
            Middleware(DisaggregationMiddleware, prefills=self.forwarding.prefills(self.choosing.admission)),
            *attempt_spans,
        ]

    def _stacked(self, layers: list[Middleware]) -> ASGIApp:
        app: ASGIApp = self.forwarding.proxy(self.paths, endpoints(self.lifecycle, self.registry, not_found))
        for layer in reversed(layers):
            app = self.layers[layer.cls] = layer.cls(app, *layer.args, **layer.kwargs)
        return app

    # --- the life of a gateway

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Discover pods and take requests for the length of the block; for the host application's lifespan."""
        tasks: list[asyncio.Future[None]] = []
        try:
            self.access.load()
            self.counting.load()
            self.choosing.load()
            await self.discovery.open()
            await self.counting.start()
            tasks += [asyncio.ensure_future(work()) for work in self._background]
            self.lifecycle.running = True
            yield self
        finally:
            self.lifecycle.running = False
            self.room.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.discovery.aclose()
            await self.upstream.aclose()
            await self.sharing.aclose()
            await self.counting.aclose()

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
        own = [] if self.live.fault is None else [self.live.fault]
        parts = (self.registry, self.discovery, self.access, self.catalogue.guard)
        return [*(fault for part in parts for fault in part.faults()), *own]

    def follow(self, file: Path, read: Callable[[], Settings]) -> None:
        """Take over `models`, `users` and `log.level` whenever the settings file changes, from `running()` on."""
        self._background.append(self.live.watcher(file, lambda: self.reload(read())))

    def reload(self, fresh: Settings) -> None:
        """Take over what can change at once; report what needs a restart. ConfigurationError changes nothing."""
        self.live.take_over(fresh)
        self._take_over_users(fresh.users)

    def _take_over_users(self, users: UsersSettings) -> None:
        """Limits of users apply from the next request on; the layer comes with the first user that has one."""
        self.sharing.users.records = users.records
        self.layers[ModelMiddleware].trust_user_header = users.trust_header
        limit_users = self.sharing.limit_users
        if limit_users not in self.layers and self.sharing.limits_users(users):
            plan = self.layers[PlanMiddleware]
            plan.app = self.layers[limit_users] = limit_users(plan.app, self.paths)
