"""An account of answers for applications that give none: what our proxy says of its own, seen from outside."""

import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw.outcome import Outcome
from aibrix_mw.scope import OUTCOME, read_usage

_NAMES = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "limited"}


class Watched:
    """Puts the OUTCOME of a request that the application has answered, unless somebody inside has.

    Its name is by the status: `engine_error` from 500 on, `limited` for 429, `not_found`, `unauthorized`, else
    `bad_request` from 400 on, else `ok`. Usage is read in passing.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; what it raises is nobody's answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(read_usage(scope, send), self.clock)
        sent = self.clock()
        await self.app(scope, receive, answer.send)
        if answer.status and OUTCOME.get(scope) is None:
            ended = self.clock()
            OUTCOME.put(
                scope,
                Outcome(
                    name=outcome_of(answer.status),
                    status=answer.status,
                    sent=sent,
                    first_byte=answer.first_byte or ended,
                    last_byte=ended,
                ),
            )


def outcome_of(status: int) -> str:
    """The outcome that an answer's status stands for."""
    if status >= 500:
        return "engine_error"
    return _NAMES.get(status, "bad_request") if status >= 400 else "ok"


class _Answer:
    """Status and first byte of one answer."""

    __slots__ = ("_clock", "_send", "first_byte", "status")

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self.status = 0
        self.first_byte = 0.0

    def send(self, message: Message) -> Awaitable[None]:
        """Look at a message and pass it on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not self.first_byte and message.get("body"):
            self.first_byte = self._clock()
        return self._send(message)
