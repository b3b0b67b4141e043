"""RateLimitMiddleware: lets as many requests pass as quotas allow."""

from collections.abc import Callable, Iterable
from functools import partial
from math import ceil
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw.errors import REFUND, Headers, LimitExceeded, StoreRefused
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.model import ModelQuotas
from aibrix_mw.limiting.quota import Hit, Quota, Quotas
from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.scope import (
    LIMIT_HIT,
    PROFILE,
    REQUEST,
    TRACE,
    InferencePaths,
    answer_headers,
    give_back_on_refund,
    refuse,
)

__all__ = ["Quota", "RateLimitMiddleware", "quoting", "refund"]

Quoting = Callable[[Scope], Quota | Quotas | None]


class RateLimitMiddleware:
    """Takes one hit of the quotas that `quota(scope)` names, all or none; None: the request is not limited.

    A refused request gets 429 and takes nothing. A hit is given back when the inner application's answer starts with a
    message that `refund` has marked. Quotas are counted in `store` (see `open_limiter`), by default in this process;
    its connections are closed at the end of the lifespan. A `limiter` is given instead by who shares and closes it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        quota: Quoting,
        store: Any = None,  # noqa: ANN401 - a URL, or any storage of limits
        limiter: Limiter | SharedLimiter | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
    ) -> None:
        self.app = app
        self.quota = quota
        self.limiter = limiter if limiter is not None else open_limiter(store)
        self.owns_limiter = limiter is None
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and run the inner application, or refuse."""
        if REQUEST.key not in scope and not self.paths.match(scope):
            await self._pass(scope, receive, send)
            return
        quotas = self.quota(scope)
        if quotas is None:
            await self.app(scope, receive, send)
            return
        if isinstance(quotas, Quota):
            quotas = (quotas,)
        try:
            hit = self.limiter.take_now(quotas)
            if hit is None:
                trace = TRACE.get(scope)
                hit = await (self.limiter.take(quotas) if trace is None else trace.ask(self.limiter, quotas))
        except StoreRefused as error:
            await refuse(error, scope, receive, send)
            return
        send = answer_headers(scope, send, _headers(hit))
        if hit.full is not None:
            await refuse(LimitExceeded(_message(hit.full), hit.reset), scope, receive, send)
            return
        LIMIT_HIT.put(scope, hit)
        give_back_on_refund(scope, partial(self.limiter.give, hit))
        await self.app(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "lifespan" and self.owns_limiter:
                await self.limiter.aclose()


def refund(message: Message) -> Message:
    """Mark an `http.response.start` message: the request has used nothing of what was counted for it."""
    message[REFUND] = True
    return message


def quoting(models: ModelQuotas) -> Quoting:
    """The limits of a request's model and profile, as the middlewares outside have found them."""
    return lambda scope: models.of(REQUEST.require(scope), PROFILE.require(scope))


def _message(quota: Quota) -> str:
    return quota.message or f"rate limit exceeded: {quota.limit} requests per {quota.per:g} s"


def _headers(hit: Hit) -> Headers:
    """OpenAI's headers for the quota with the least room; none when nobody has counted."""
    if hit.tightest is None:
        return ()
    return (
        (b"x-ratelimit-limit-requests", b"%d" % hit.tightest.limit),
        (b"x-ratelimit-remaining-requests", b"%d" % hit.remaining),
        (b"x-ratelimit-reset-requests", _duration(hit.reset)),
    )


def _duration(seconds: float) -> bytes:
    """A duration as OpenAI's API writes them: 120ms, 2s, 6m0s."""
    if seconds <= 1:
        return b"%dms" % ceil(seconds * 1000)
    minutes, rest = divmod(ceil(seconds), 60)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest
