"""Asks the layers of a gateway for their decisions, and takes and sends nothing.

What a strategy would pick is asked of a twin (`Strategy.rehearsal`), and limits are looked at instead of taken, so that
everything after an explanation is as if there had been none. Only a user's record may be read from the store anew.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import Message, Scope

from aibrix_mw.client import BodyReader
from aibrix_mw.errors import GatewayError, InvalidKey, ModelNotAllowed
from aibrix_mw.explain.limits import Counters, look
from aibrix_mw.explain.pods import PodTable
from aibrix_mw.explain.question import Question, body_of, parse_question, scope_of
from aibrix_mw.explain.told import Applied, Asked, Choice, Credentials, Explanation, refusal_of
from aibrix_mw.headers import text_of
from aibrix_mw.keys import Key
from aibrix_mw.middleware.auth import AllowanceMiddleware, find_key
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.middleware.plan import PlanMiddleware
from aibrix_mw.middleware.profile import ProfileMiddleware
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import ConfigProfile, ModelConfig, source_of
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import KEY, headers_of
from aibrix_mw.strategies.plan import Plan

_NOBODY = Key("", "")


class Explainer:
    """Explains questions; `layers` are those of the gateway's stack, by class."""

    def __init__(self, registry: PodRegistry, layers: Mapping[Any, Any], counters: Counters) -> None:
        self.registry = registry
        self.counters = counters
        self.model: ModelMiddleware = layers[ModelMiddleware]
        self.profile: ProfileMiddleware = layers[ProfileMiddleware]
        self.allowance: AllowanceMiddleware | None = layers.get(AllowanceMiddleware)
        self.plan: PlanMiddleware = layers[PlanMiddleware]
        self.routing: RoutingMiddleware = layers[RoutingMiddleware]

    async def answer(self, body: bytes) -> bytes:
        """The explanation that `POST /explain` answers, as JSON; InvalidRequest where the body is no question."""
        return msgspec.json.encode(await self.explain(parse_question(body)))

    async def explain(self, question: Question) -> Explanation:
        """Every decision for such a request; InvalidRequest for a path that engines do not get."""
        scope = scope_of(question, self.model.paths.names)
        told = Explanation(credentials=Credentials(needed=self.counters.keys is not None))
        try:
            await self._decide(told, scope, body_of(question))
        except GatewayError as error:
            told.refused = refusal_of(error)
        return told

    async def _decide(self, told: Explanation, scope: Scope, body: bytes) -> None:
        key = self._key(told, scope)
        request = await self._read(told, scope, body)
        profile = self._profile(told, request, key)
        table = PodTable(self.registry, request, frozenset(self.routing.admission.ejection.ejected()))
        try:
            plan = self._plan(told, request, profile, table)
            looked = await look(self.counters, request, profile)
            if looked is not None:
                told.limits, told.counted_by = looked.states, looked.by
                _note(told, looked.why)
            target = self._choose(told, request, plan, table)
        finally:
            told.pods = table.states()
        if looked is not None and looked.refusal is not None:
            raise looked.refusal
        told.choice = _choice(target) if target is not None else None

    def _key(self, told: Explanation, scope: Scope) -> Key | None:
        """Whose key the headers carry. A key may be left out: then it is not asked for."""
        headers, keys = headers_of(scope), self.counters.keys
        if keys is None or not {b"authorization", b"x-api-key"} & headers.keys():
            return None
        key = find_key(keys, headers)
        if key is None:
            raise InvalidKey
        told.credentials.key = key.name
        KEY.put(scope, key)
        return key

    async def _read(self, told: Explanation, scope: Scope, body: bytes) -> InferenceRequest:
        if self.model.isolate_tenants and KEY.get(scope) is None:
            KEY.put(scope, _NOBODY)
            _note(told, "who has sent which prompt is known by tenant, and there is no key to tell whose this is")
        request = await self.model.read(scope, BodyReader(_receive(body), self.model.max_body_bytes))
        told.asked = Asked(
            path=request.path,
            requested_model=request.requested_model,
            model=request.model,
            stream=request.stream,
            user=request.user or None,
            prompt_tokens=request.prompt_tokens,
            max_tokens=request.max_tokens,
        )
        return request

    def _profile(self, told: Explanation, request: InferenceRequest, key: Key | None) -> ConfigProfile:
        profile = self.profile.select(request)
        config = self.registry.config(request.requested_model)
        wanted = text_of(request.header(b"config-profile") or b"")
        source = source_of(config, wanted, profile, client_may_choose=self.profile.client_may_choose)
        told.profile = Applied(name=profile.name, source=source)
        if source == "default" and wanted.strip() not in {"", profile.name}:
            _note(told, self._why_not(config, wanted.strip()))
        if key is not None and self.allowance is not None and not self.allowance.allows(key, request, profile):
            raise ModelNotAllowed(request.requested_model)
        return profile

    def _why_not(self, config: ModelConfig, wanted: str) -> str:
        """Why a wish for a profile does not count."""
        if config.authoritative_routing_policy or not self.profile.client_may_choose:
            return f"config-profile {wanted}: clients may not choose"
        return f"config-profile {wanted}: there is no such profile"

    def _plan(self, told: Explanation, request: InferenceRequest, profile: ConfigProfile, table: PodTable) -> Plan:
        plan = self.plan.decide(request, profile)
        told.strategy = Applied(name=plan.strategy_name, source=plan.source)
        if plan.selector is not None:
            told.external_filter = plan.selector.text
        table.selector, table.max_in_flight = plan.selector, plan.max_in_flight
        plan = self.plan.check(request, plan)
        told.strategy = Applied(name=plan.strategy_name, source=plan.source)
        return plan

    def _choose(self, told: Explanation, request: InferenceRequest, plan: Plan, table: PodTable) -> Target | None:
        pods = candidates(self.registry, request, plan.selector, plan.max_in_flight)
        admission, strategy = self.routing.admission, plan.strategy
        with admission.slow_start.rehearsing():
            table.admitted = admitted = admission.admit(pods)
        told.highest_wins = strategy.highest_wins
        try:
            scores = strategy.rehearsal().explain(request, admitted)
            table.scores = dict(zip(admitted, scores, strict=False))
            return self._pick(request, plan, pods, admitted)
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - a strategy of somebody else's, which cannot be copied
            _note(told, f"{plan.strategy_name} does not tell: {type(error).__name__}: {error}")
            return None

    def _pick(self, request: InferenceRequest, plan: Plan, pods: Sequence[Pod], admitted: Sequence[Pod]) -> Target:
        twin = plan.strategy.rehearsal()
        if not twin.two_legs:
            return twin.pick(request, admitted)
        with self.routing.admission.slow_start.rehearsing():
            return self.routing.pairing.first(twin, request, pods)


def _note(told: Explanation, sentence: str | None) -> None:
    if sentence is not None:
        told.notes = (*told.notes, sentence)


def _receive(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _choice(target: Target) -> Choice:
    prefill = target.prefill
    return Choice(
        pod=target.pod.info.name,
        address=target.pod.address.netloc,
        prefill=prefill.info.name if prefill is not None else None,
        prefill_address=prefill.address.netloc if prefill is not None else None,
        match=target.match,
        fallback=target.fallback,
        alone=target.alone,
    )
