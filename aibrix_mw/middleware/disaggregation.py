"""DisaggregationMiddleware: the prefill leg of a request, and the body of its decode leg."""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import ExitStack
from random import Random
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw.client import Presence
from aibrix_mw.connectors.base import BadTransfer, Connector, NothingToTransfer, connector
from aibrix_mw.errors import InvalidRequest, PrefillFailed, UpstreamError
from aibrix_mw.outcome import NOTHING_TO_TRANSFER
from aibrix_mw.pods.lease import Lease
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.roles import connector_name
from aibrix_mw.prefill import PrefillPods
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import CLIENT_LEFT, LEASE, OUTCOME, REQUEST, TARGET, refuse
from aibrix_mw.splice import Edits, JsonObject


class DisaggregationMiddleware:
    """Where the slot TARGET names a prefill pod, asks that one first, and hands what it says to the decode pod.

    A leg that fails is an UpstreamError, which the routing middleware outside repeats elsewhere. With connectors that
    send both legs at once, a prefill leg that fails before the first byte of the answer cancels the decode leg.
    """

    def __init__(self, app: ASGIApp, *, prefills: PrefillPods, rng: Random | None = None) -> None:
        self.app = app
        self.prefills = prefills
        self.rng = rng or Random()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run both legs, or just the inner application."""
        target: Target | None = scope.get(TARGET.key)
        if target is None or target.prefill is None:
            return self.app(scope, receive, send)
        return self._divided(scope, receive, send, target.prefill)

    async def _divided(self, scope: Scope, receive: Receive, send: Send, prefill: Pod) -> None:
        request = REQUEST.require(scope)
        way = connector(connector_name(prefill.info))
        try:
            body = _members(request, way)
        except InvalidRequest as error:
            await refuse(error, scope, receive, send)
            return
        held = LEASE.get(scope)
        if held is not None:
            held.computed_elsewhere()
        legs = Legs(self, scope, request, prefill, way, body)
        try:
            if way.together:
                await legs.together(receive, send)
            else:
                await legs.one_by_one(receive, send)
        finally:
            REQUEST.put(scope, request)


class Legs:
    """The two legs of one attempt."""

    def __init__(
        self,
        parts: DisaggregationMiddleware,
        scope: Scope,
        request: InferenceRequest,
        prefill: Pod,
        way: Connector,
        body: JsonObject,
    ) -> None:
        self.app = parts.app
        self.prefills = parts.prefills
        self.scope = scope
        self.request = request
        self.pod = prefill
        self.way = way
        self.body = body
        self.sent: Edits = way.to_prefill(prefill.info, parts.rng)
        self.answered = False

    async def one_by_one(self, receive: Receive, send: Send) -> None:
        """The decode leg follows the answer of the prefill leg."""
        with self._lease() as lease, Presence(self.scope, receive) as presence:
            presence.listen()
            await self._prefill(lease)
        if presence.left:
            OUTCOME.put(self.scope, CLIENT_LEFT)
            return
        try:
            await self.app(self.scope, receive, send)
        except UpstreamError as error:
            error.reached = True  # the prefill pod has had the request
            raise

    async def together(self, receive: Receive, send: Send) -> None:
        """Both legs at once; the decode leg gives up when the prefill leg fails before it has said anything."""
        self._hand_over(b"")
        deciding = asyncio.current_task()
        assert deciding is not None
        holding = ExitStack()
        prefilling = asyncio.ensure_future(self._prefill(holding.enter_context(self._lease())))
        prefilling.add_done_callback(lambda _: holding.close())
        failed = False

        def give_up(done: asyncio.Future[None]) -> None:
            nonlocal failed
            if not done.cancelled() and done.exception() is not None and not self.answered:
                failed = True
                deciding.cancel()

        def notice(message: Message) -> Awaitable[None]:
            self.answered = True
            return send(message)

        prefilling.add_done_callback(give_up)
        ended: BaseException | None = None
        try:
            await asyncio.sleep(0)  # the prefill pod is asked first
            await self.app(self.scope, receive, notice)
        except BaseException as error:  # noqa: BLE001 - raised below: compiled code forgets it over an await
            ended = error
        prefilling.remove_done_callback(give_up)
        prefilling.cancel()
        await asyncio.gather(prefilling, return_exceptions=True)
        if isinstance(ended, UpstreamError):
            ended.reached = True
        elif failed and isinstance(ended, asyncio.CancelledError) and not deciding.uncancel():
            ended = prefilling.exception()
        if ended is not None:
            raise ended

    def _lease(self) -> Lease:
        """The hold on the prefill pod; to be entered in the turn of the loop in which the pod was chosen."""
        return self.pod.lease(self.request.prompt_tokens, TARGET.require(self.scope).match)

    def _prefill(self, lease: Lease) -> Coroutine[Any, Any, None]:
        body = self.body.edited(self.sent)
        read = self._check if self.way.together else self._hand_over
        return self.prefills.ask(self.scope, self.request, self.pod, lease, body, read)

    def _check(self, answer: bytes) -> None:
        """Nothing in the answer is needed."""

    def _hand_over(self, answer: bytes) -> None:
        """Put the request as the decode pod gets it."""
        try:
            edits = self.way.to_decode(self.pod.info, self.sent, answer)
        except NothingToTransfer:
            raise PrefillFailed(self.pod.info.name, NOTHING_TO_TRANSFER) from None
        except BadTransfer:
            raise PrefillFailed(self.pod.info.name, "malformed") from None
        changed = self.body.edited(edits)
        REQUEST.put(self.scope, msgspec.structs.replace(self.request, body=changed, length=len(changed)))


def _members(request: InferenceRequest, way: Connector) -> JsonObject:
    """The body, in which no member that is to be changed is there twice: engines differ in which one they believe."""
    try:
        body = JsonObject(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    twice = body.twice(way.controlled)
    if twice is not None:
        raise InvalidRequest(f"{twice} is there twice", param=twice)
    return body
