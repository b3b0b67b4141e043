"""ProfileMiddleware: which config profile of the model applies."""

from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import Headers, reflect
from aibrix_mw.headers import text_of
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import ConfigProfile
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import PROFILE, InferencePaths, answer_headers


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
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Select the profile, then run the inner application."""
        request = self.paths.request(scope)
        if request is None:
            await self.app(scope, receive, send)
            return
        profile = self.select(request)
        PROFILE.put(scope, profile)
        await self.app(scope, receive, answer_headers(scope, send, _name(profile.name)))

    def select(self, request: InferenceRequest) -> ConfigProfile:
        """The profile that applies."""
        config = self.registry.config(request.requested_model)
        wanted = request.headers.get(b"config-profile")
        if wanted is None or config.authoritative_routing_policy or not self.client_may_choose:
            return config.select()
        return config.select(text_of(wanted), lambda: request.prompt_tokens, request.max_tokens)


@lru_cache(maxsize=1024)
def _name(profile: str) -> Headers:
    return ((b"x-aibrix-config-profile", reflect(profile)),)
