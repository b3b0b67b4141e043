"""PlanMiddleware: how the request is to be routed, found out before anything is counted or sent."""

from collections.abc import Collection, Iterable, Mapping
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, InvalidExternalFilter, UnsupportedValue
from aibrix_mw.headers import text_of
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.selector import Selector
from aibrix_mw.profiles import ConfigProfile, ModelConfig
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import PLAN, PROFILE, InferencePaths, refuse
from aibrix_mw.strategies.catalogue import Catalogue
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.waiting import Waiting
from aibrix_mw.waiting_room import FULL, WaitingRoom

ROUTING_HEADERS = ("config-profile", "routing-strategy", "external-filter")
_SESSION = "session-affinity"
_NO_HEADERS: Mapping[bytes, bytes] = {}


class PlanMiddleware:
    """Fills the slot PLAN: strategy, pod filter, and whether the answer names the target.

    Refuses unknown strategies, filters that are none, and requests that no pod can take, so that they cost nothing of
    any limit inside. Of the routing headers only those in `client_headers` count. With a `room`, what no pod can take
    now waits there.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: PodRegistry,
        catalogue: Catalogue | None = None,
        default_strategy: str = "least-request",
        client_headers: Collection[str] = ROUTING_HEADERS,
        expose_target: bool = True,
        room: WaitingRoom | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
    ) -> None:
        self.app = app
        self.registry = registry
        self.catalogue = catalogue or Catalogue()
        self.default_strategy = default_strategy
        self.may_choose_strategy = "routing-strategy" in client_headers
        self.may_filter = "external-filter" in client_headers
        self.expose_target = expose_target
        self.room = room if room is not None and room.size else None
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the plan, then run the inner application."""
        request = self.paths.request(scope)
        if request is None:
            await self.app(scope, receive, send)
            return
        profile = PROFILE.require(scope)
        try:
            plan = self._plan(request, profile)
            full: GatewayError | None = None
        except GatewayError as error:
            if self.room is None or not isinstance(error, FULL):
                await refuse(error, scope, receive, send)
                return
            full = error
        if self.room is not None and (full is not None or self.room.is_ahead(request.model)):
            waited = Waiting(self.room, scope, request, partial(self._plan, request, profile), receive)
            if not await waited.run(full, send):
                return
            receive = waited.receive
        else:
            PLAN.put(scope, plan)
        await self.app(scope, receive, send)

    def _plan(self, request: InferenceRequest, profile: ConfigProfile) -> Plan:
        plan = self.decide(request, profile)
        if plan.strategy.needs and plan.source == "header":
            self.catalogue.asked(request.model, plan.strategy_name)
        return self.check(request, plan)

    def decide(self, request: InferenceRequest, profile: ConfigProfile) -> Plan:
        """How the request is to be routed, whether a pod can take it or not; GatewayError where nobody knows."""
        headers = request.headers
        config = self.registry.config(request.requested_model)
        obey_client = not config.authoritative_routing_policy
        name, source = self._strategy_name(config, profile, headers if obey_client else _NO_HEADERS)
        strategy = self.catalogue.get(name, profile.routing_config, trusted=source != "header", profile=profile.name)
        selector = self._selector(headers) if obey_client and self.may_filter else None
        hide_target = not (self.expose_target and obey_client)
        return Plan(strategy, name, source, selector, hide_target, max(0, profile.requests_inflight))

    def check(self, request: InferenceRequest, plan: Plan) -> Plan:
        """The plan for a request that some pod can take now, which may take another strategy; else GatewayError."""
        pods = candidates(self.registry, request, plan.selector, plan.max_in_flight)
        if request.path == "/v1/responses" and len(pods) > 1 and request.previous_response_id:
            if b"x-session-id" not in request.headers:
                raise UnsupportedValue(
                    "previous_response_id needs x-session-id: the response is kept by one of several pods",
                    param="previous_response_id",
                )
            strategy = self.catalogue.get(_SESSION)
            return Plan(strategy, _SESSION, "responses", plan.selector, plan.hide_target, plan.max_in_flight)
        return plan

    def _strategy_name(
        self, config: ModelConfig, profile: ConfigProfile, headers: Mapping[bytes, bytes]
    ) -> tuple[str, str]:
        """Locked, then the client's, then the profile's, then the gateway's; with the word for where it is from."""
        if config.locked_routing_strategy:
            return config.locked_routing_strategy, "locked"
        wanted = headers.get(b"routing-strategy", b"").strip() if self.may_choose_strategy else b""
        if wanted:
            return text_of(wanted), "header"
        if profile.routing_strategy:
            return profile.routing_strategy, "profile"
        return self.default_strategy, "default"

    def _selector(self, headers: Mapping[bytes, bytes]) -> Selector | None:
        text = headers.get(b"external-filter", b"").strip()
        if not text:
            return None
        try:
            return Selector(text_of(text))
        except ValueError as error:
            raise InvalidExternalFilter(f"external-filter: {error}") from None
