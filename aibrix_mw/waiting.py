"""One request in the waiting room: its client may leave meanwhile."""

from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from aibrix_mw.client import ON_DISCONNECT, Presence
from aibrix_mw.errors import GatewayError
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import CLIENT_LEFT, OUTCOME, PLAN, PROFILE, TARGET, refuse
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.waiting_room import Waiter, WaitingRoom


class Waiting:
    """Fills PLAN when the request may go on; `receive` is then for those inside: they may read the body again."""

    def __init__(
        self, room: WaitingRoom, scope: Scope, request: InferenceRequest, plan: Callable[[], Plan], receive: Receive
    ) -> None:
        self.room = room
        self.scope = scope
        self.request = request
        self.plan = plan
        self.receive = receive

    async def run(self, full: GatewayError | None, send: Send) -> bool:
        """Wait; whether the request may go on. Else it has been refused, or its client has left."""
        refusal: GatewayError | None = None
        kind = (self.request.requested_model, PROFILE.require(self.scope).name, self.request.header(b"external-filter"))
        receive = self.receive
        with Presence(self.scope, receive) as presence:
            self.receive = self._listen(presence, receive)
            try:
                PLAN.put(
                    self.scope, await self.room.wait(self.request.model, Waiter(self.plan, kind, self._placed), full)
                )
            except GatewayError as error:
                refusal = error
        if presence.left:
            OUTCOME.put(self.scope, CLIENT_LEFT)
        elif refusal is not None:
            await refuse(refusal, self.scope, receive, send)
        return not presence.left and refusal is None

    def _placed(self) -> bool:
        return TARGET.key in self.scope or OUTCOME.key in self.scope

    def _listen(self, presence: Presence, receive: Receive) -> Receive:
        """Notice the client leaving where that is possible; under most servers it takes up what `receive` has."""
        if self.request.more or ON_DISCONNECT in (self.scope.get("extensions") or {}):
            return receive
        presence.listen()
        return _again(self.request, receive)


def _again(request: InferenceRequest, receive: Receive) -> Receive:
    """A `receive` that yields the body once more, then whatever comes."""
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": bytes(request.body), "more_body": False}

    return again
