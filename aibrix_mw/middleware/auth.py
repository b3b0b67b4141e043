"""AuthMiddleware and AllowanceMiddleware: whose key a request carries, and whether it opens what is asked for."""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import InvalidKey, ModelNotAllowed
from aibrix_mw.keys import Key, KeyRing
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import ConfigProfile
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import KEY, PROFILE, InferencePaths, headers_of, refuse

_MODELS = "/v1/models"
_CREDENTIALS = (b"authorization", b"x-api-key")
# some servers read an underscore as a hyphen
_CONSUMED = frozenset({*_CREDENTIALS, b"x_api_key"})


class AuthMiddleware:
    """Fills the slot KEY, or answers 401; for inference requests and the list of models.

    A key comes as `authorization: Bearer KEY` or as `x-api-key: KEY`, and nothing inside of this sees it: both headers
    leave the scope, and `engine_key` (called for each request, so that it may change) gives what engines get instead.
    Without `keys` nobody is asked for one, and only the engine's key is set.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing | None,
        engine_key: Callable[[], bytes] | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
    ) -> None:
        self.app = app
        self.keys = keys
        self.engine_key = engine_key
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the key, then run the inner application."""
        if not self._guards(scope):
            await self.app(scope, receive, send)
            return
        if self.keys is not None:
            key = find_key(self.keys, headers_of(scope))
            if key is None:
                await refuse(InvalidKey(), scope, receive, send)
                return
            KEY.put(scope, key)
        self._replace_credentials(scope)
        await self.app(scope, receive, send)

    def _guards(self, scope: Scope) -> bool:
        if self.paths.match(scope):
            return True
        return scope["type"] == "http" and (route_path(scope) + "/").startswith(_MODELS + "/")

    def _replace_credentials(self, scope: Scope) -> None:
        headers = headers_of(scope)
        for name in _CONSUMED:
            headers.pop(name, None)
        scope["headers"] = [header for header in scope["headers"] if header[0] not in _CONSUMED]
        if self.engine_key is not None:
            authorization = b"Bearer " + self.engine_key()
            headers[b"authorization"] = authorization
            scope["headers"].append((b"authorization", authorization))


def find_key(keys: KeyRing, headers: dict[bytes, bytes]) -> Key | None:
    """The key of the first header that holds a good one."""
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    key = keys.find(bearer.strip()) if scheme.lower() == b"bearer" else None
    if key is None and b"x-api-key" in headers:
        key = keys.find(headers[b"x-api-key"])
    return key


class AllowanceMiddleware:
    """Answers 403 where the key in the slot KEY does not open the model or the config profile of the request."""

    def __init__(self, app: ASGIApp, *, registry: PodRegistry, paths: Iterable[str] = INFERENCE_PATHS) -> None:
        self.app = app
        self.registry = registry
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compare, then run the inner application."""
        request = self.paths.request(scope)
        if request is not None and not self.allows(KEY.require(scope), request, PROFILE.require(scope)):
            await refuse(ModelNotAllowed(request.requested_model), scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def allows(self, key: Key, request: InferenceRequest, profile: ConfigProfile) -> bool:
        """Whether the key opens model and profile."""
        served = self.registry.find(request.requested_model)
        alias_of = served.model if served is not None and served.alias else None
        return key.opens_model(request.requested_model, alias_of) and key.opens_profile(profile.name)
