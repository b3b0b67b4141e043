"""UserLimitMiddleware: requests and tokens of a user per minute."""

import math
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, StoreRefused, UserLimitExceeded
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.quota import Hit, Quota
from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import TRACE, USAGE, InferencePaths, answer_headers, give_back_on_refund, read_usage, refuse
from aibrix_mw.settings.schema import UserRecord
from aibrix_mw.shared.users import Users
from aibrix_mw.trace import Trace
from aibrix_mw.usage import UsageReader

MINUTE = 60.0
_GENERATING = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"})
_FREE = frozenset({"/tokenize", "/detokenize", "/v1/messages/count_tokens"})
_BOUNDLESS = 2**53
_RPM, _TPM = ":rpm", ":tpm"


class UserLimitMiddleware:
    """Takes a request, and the tokens that it probably needs, of the limits of its user; 429 where there is no room.

    Both are taken in one step, all or nothing. Afterwards the tokens are corrected by what the engine counted, where it
    says so: down within the minute that they were taken from, up within that minute or, when it is over, the one of
    then. All is given back when the answer's start carries `aibrix_mw.refund`. Without a `limiter` this process counts.
    `clock` is in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        users: Users,
        limiter: Limiter | SharedLimiter | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.users = users
        self.limiter = limiter if limiter is not None else open_limiter()
        self.paths = InferencePaths(paths)
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then run the inner application."""
        request = self.paths.request(scope)
        if request is None or request.user is None:
            await self.app(scope, receive, send)
            return
        try:
            record = self.users.find_now(request.user)
            if record is None:
                record = await self.users.find(request.user)
            hit = await self._take(quotas_of(request.user, record, request), TRACE.get(scope))
        except GatewayError as error:
            await refuse(error, scope, receive, send)
            return
        if hit is None:
            await self.app(scope, receive, send)
            return
        send = answer_headers(scope, send, ())
        count = _Count(self.limiter, hit, self.clock)
        give_back_on_refund(scope, count.give_back)
        if hit.quotas[-1].key.endswith(_TPM):
            send = count.read_usage(scope, send)
        try:
            await self.app(scope, receive, send)
        finally:
            await count.correct()

    async def _take(self, quotas: tuple[Quota, ...], trace: Trace | None) -> Hit | None:
        """Take of all quotas; None when there are none. UserLimitExceeded where one is full."""
        if not quotas:
            return None
        hit = self.limiter.take_now(quotas)
        if hit is None:
            hit = await (self.limiter.take(quotas) if trace is None else trace.ask(self.limiter, quotas))
        if hit.full is not None:
            kind = "tpm" if hit.full.key.endswith(_TPM) else "rpm"
            raise UserLimitExceeded(hit.full.message or "", kind, max(1, math.ceil(hit.reset)))
        return hit


def quotas_of(user: str, record: UserRecord, request: InferenceRequest) -> tuple[Quota, ...]:
    """What a request takes of its user's minute: one of the requests, and the estimate of the tokens."""
    quotas: tuple[Quota, ...] = ()
    if record.rpm is not None:
        quotas = (_quota(user, _RPM, record.rpm, 1),)
    if record.tpm is not None and request.path not in _FREE:
        cost = max(1, min(estimate(request), record.tpm))
        quotas = (*quotas, _quota(user, _TPM, record.tpm, cost))
    return quotas


@lru_cache(maxsize=4096)
def _quota(user: str, kind: str, limit: int, cost: int) -> Quota:
    message = f"user: {user} has exceeded {kind[1:].upper()}: {limit}"
    return Quota(f"{{user:{user}}}{kind}", limit, MINUTE, message, cost)


def estimate(request: InferenceRequest) -> int:
    """Tokens that a request probably takes: a quarter of the prompt's bytes, and what may be generated.

    That is `max_tokens`, or where the client sets none 1.5 times the prompt. More than the whole limit is never asked
    for (see `quotas_of`): such a request waits for a minute of its own.
    """
    prompt = request.prompt_tokens
    if request.path not in _GENERATING:
        return prompt
    longest = request.max_tokens
    return prompt + (math.ceil(1.5 * prompt) if longest is None else longest)


class _Count:
    """What one request has taken, until it is known what it used."""

    __slots__ = ("_clock", "_hit", "_limiter", "_reader", "_taken")

    def __init__(self, limiter: Limiter | SharedLimiter, hit: Hit, clock: Callable[[], float]) -> None:
        self._limiter = limiter
        self._hit: Hit | None = hit
        self._clock = clock
        self._taken = clock()
        self._reader: UsageReader | None = None

    def read_usage(self, scope: Scope, send: Send) -> Send:
        """Have the answer's usage read in passing, unless somebody outside does; the `send` to hand inwards."""
        send = read_usage(scope, send)
        self._reader = USAGE.require(scope)
        return send

    async def give_back(self) -> None:
        """Give back everything: no engine has seen the request."""
        hit, self._hit = self._hit, None
        assert hit is not None  # an answer starts once
        await self._limiter.give(hit)

    async def correct(self) -> None:
        """Put what the engine counted in the place of the estimate, if there is such a count."""
        hit, usage = self._hit, self._reader.usage if self._reader is not None else None
        if hit is None or usage is None:
            return
        *requests, tokens = hit.quotas
        unused = tokens.cost - usage.total
        if self._clock() - self._taken < hit.reset:
            await self._limiter.give(hit, [*(0 for _ in requests), unused])
        elif unused < 0:
            await self._charge(tokens, -unused)

    async def _charge(self, tokens: Quota, excess: int) -> None:
        """Take of the minute of now, whatever the limit says: the tokens have been made."""
        quotas = (Quota(tokens.key, _BOUNDLESS, tokens.per, cost=excess),)
        try:
            if self._limiter.take_now(quotas) is None:
                await self._limiter.take(quotas)
        except StoreRefused:
            return
