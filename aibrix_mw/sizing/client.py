"""One request: sent, read to its end, and what became of it.

Errors: `status_N` (an answer with status N), `connect` (no connection), `no_answer` (not a byte of the body in time),
`stalled` (silence in the middle of the body), `reset` (the connection broke), `malformed` (no HTTP, or no events),
`truncated` (an end without `[DONE]`), `empty` (an end without a token), `error_event` (an error in the stream).
"""

import asyncio
from collections.abc import Callable

import msgspec

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from aibrix_mw.sizing.records import UNFINISHED, Record
from aibrix_mw.sizing.stream import TokenStream, message_of
from aibrix_mw.sizing.target import Target
from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream

_LONGEST_ERROR_BYTES = 65536
Clock = Callable[[], float]


class Patience(msgspec.Struct, frozen=True):
    """Seconds until a request has failed: without a connection, without a first byte, and without a further one."""

    answer: float
    silence: float
    connect: float = 5.0


class Flight:
    """One request under way; instants by the clock of the client."""

    __slots__ = ("detail", "due", "ended", "error", "sent", "stream")

    def __init__(self, due: float) -> None:
        self.due = due
        self.sent = 0.0
        self.ended: float | None = None
        self.error = UNFINISHED
        self.detail = ""
        self.stream = TokenStream()

    def record(self, now: float, start: float = 0.0) -> Record:
        """What is known of it, with instants since `start`; one that has not ended is cut `now`."""
        stream = self.stream
        return Record(
            due=self.due - start,
            sent=self.sent - start,
            ended=(now if self.ended is None else self.ended) - start,
            first=None if stream.first is None else stream.first - start,
            last=None if stream.last is None else stream.last - start,
            tokens=stream.tokens,
            prompt_tokens=stream.prompt_tokens,
            error=self.error,
            detail=self.detail,
        )


class Client:
    """Sends requests to one target; `clock` gives seconds, exactly: uvloop's own has milliseconds and is often old."""

    def __init__(self, upstream: Upstream, target: Target, clock: Clock) -> None:
        self.upstream = upstream
        self.target = target
        self.clock = clock
        given = [(name.lower().encode(), value.encode()) for name, value in target.headers]
        self._headers = [(b"content-type", b"application/json"), (b"accept", b"text/event-stream"), *given]

    async def ask(self, flight: Flight, body: bytes, patience: Patience) -> None:
        """Send a request and read its answer; what goes wrong is noted in the flight."""
        flight.sent = self.clock()
        address = self.target.address
        request = EngineRequest(
            address, address.netloc.encode(), self.target.path.encode(), self._headers, body, reuse=True
        )
        until = asyncio.get_running_loop().time() + patience.answer
        timers = Timers(until, "no_answer", whole=False, connect=patience.connect, idle=patience.silence)
        try:
            answer = await self.upstream.send(request, timers)
            try:
                await self._read(flight, answer)
            finally:
                answer.close()
        except UpstreamTimeout as error:
            silent = error.timer != "no_answer"
            flight.error = "stalled" if silent else "no_answer"
            seconds = patience.silence if silent else patience.answer
            flight.detail = f"no byte for {seconds:g} s{' in the middle of an answer' if silent else ''}"
        except UpstreamError as error:
            flight.error, flight.detail = error.reason, error.message
        except ValueError as error:
            flight.error, flight.detail = "malformed", f"the stream holds no event of OpenAI's: {error}"
        flight.ended = self.clock()

    async def _read(self, flight: Flight, answer: Answer) -> None:
        if answer.status != 200:
            flight.error, flight.detail = f"status_{answer.status}", await _refusal(answer)
            return
        stream = flight.stream
        while chunk := await answer.read():
            stream.feed(chunk, self.clock())
        if stream.failure is not None:
            flight.error, flight.detail = "error_event", f"an error in the stream: {stream.failure}"
        elif not stream.complete:
            flight.error, flight.detail = "truncated", "the stream ended without [DONE]"
        elif stream.first is None:
            flight.error, flight.detail = "empty", "the answer has no token"
        else:
            flight.error = ""


async def _refusal(answer: Answer) -> str:
    body = b""
    while len(body) < _LONGEST_ERROR_BYTES and (chunk := await answer.read()):
        body += chunk
    marks = [name.decode() for name, value in answer.headers if name.startswith(b"x-error-") and value]
    said = message_of(body)
    return f"{answer.status}" + (f" {said}" if said else "") + (f" ({', '.join(marks)})" if marks else "")
