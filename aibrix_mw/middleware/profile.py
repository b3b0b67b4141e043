"""ProfileMiddleware: which config profile of the model applies."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import reflect
from aibrix_mw.paths import INFERENCE_PATHS, InferenceRoutes
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import BUILT_IN, ConfigProfile, ModelConfig
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import PROFILE, REQUEST, answer_headers, headers_of


class ProfileMiddleware:
    """Fills the slot PROFILE and names the profile in every answer from here inwards.

    `client_may_choose`: whether the request header `config-profile` counts; a model's `authoritativeRoutingPolicy`
    overrules it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: PodRegistry,
        client_may_choose: bool = True,
        paths: Iterable[str] = INFERENCE_PATHS,
    ) -> None:
        self.app = app
        self.registry = registry
        self.client_may_choose = client_may_choose
        self.routes = InferenceRoutes(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Select the profile, then run the inner application."""
        if not self.routes.match(scope):
            await self.app(scope, receive, send)
            return
        request = REQUEST.require(scope)
        served = self.registry.find(request.requested_model)
        profile = self._select(served.config if served is not None else BUILT_IN, request, scope)
        PROFILE.put(scope, profile)
        header = (b"x-aibrix-config-profile", reflect(profile.name))
        await self.app(scope, receive, answer_headers(scope, send, (header,)))

    def _select(self, config: ModelConfig, request: InferenceRequest, scope: Scope) -> ConfigProfile:
        wanted = headers_of(scope).get(b"config-profile")
        if wanted is None or config.authoritative_routing_policy or not self.client_may_choose:
            return config.select()
        return config.select(wanted.decode("latin-1"), lambda: request.prompt_tokens, request.max_tokens)
