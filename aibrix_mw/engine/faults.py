"""Faults on demand: what a broken engine does to an inference request.

`refuse` closes the connection without a byte of answer. `error` answers `status`. `stall` goes silent: before the head,
or after `after_chunks` chunks of the body (0: after the head). `die` closes the connection in the middle: after
`after_chunks` chunks (default 0: right after the head). A chunk is one SSE event; an answer that ends before that many
chunks loses its end: the last chunk is cut in half, and nothing says that the body is over.
"""

import asyncio

import msgspec
from starlette.types import Message, Send

from aibrix_mw.engine.refusals import ApiError

MODES = ("none", "refuse", "stall", "die", "error")

IMPOSSIBLE_HEAD: Message = {
    "type": "http.response.start",
    "status": 500,
    "headers": [(b"x-simulated-fault", b"\0")],
}
"""A head that no ASGI server can write. ASGI has no word for hanging up, but a server that took a head for its answer
and then fails to write it can only close the connection: uvicorn does, with httptools and h11, and so does our own."""


class EngineDiedError(Exception):
    """The simulated engine is gone in the middle of an answer: nothing more is sent, the server closes the socket."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of failure and how often it strikes. Raises `ValueError` for values out of range."""

    mode: str = "none"
    after_chunks: int | None = None
    """For `stall` and `die`: how many chunks of the body still get through."""
    status: int = 503
    """For `error`: the status, 400 to 599."""
    count: int | None = None
    """How many requests it strikes, after which all is well again; None: until another fault is set."""

    def __post_init__(self) -> None:
        """Check every field."""
        if self.mode not in MODES:
            raise ValueError(f"unknown fault mode {self.mode!r}: one of {', '.join(MODES)}")
        if self.after_chunks is not None and self.after_chunks < 0:
            raise ValueError("after_chunks: 0 or more")
        if not 400 <= self.status <= 599:
            raise ValueError("status: 400 to 599")
        if self.count is not None and self.count < 1:
            raise ValueError("count: 1 or more")

    async def before_answer(self, send: Send) -> None:
        """Strike before anything is computed, if this fault does; else return.

        `ApiError` for `error`, `EngineDiedError` for `refuse`; a stall ends only by cancellation.
        """
        if self.mode == "error":
            raise ApiError(self.status, "a fault on demand of the simulated engine", type="InternalServerError")
        if self.mode == "refuse":
            await hang_up(send)
        if self.mode == "stall" and self.after_chunks is None:
            await forever()

    def during_answer(self, send: Send) -> Send:
        """Wrap `send` so that the fault strikes in the middle of the answer, if it does."""
        return FailingSend(send, self) if self.mode in ("stall", "die") else send


class FailingSend:
    """A `send` that lets the head and some chunks through, and never the end of the answer."""

    def __init__(self, send: Send, fault: Fault) -> None:
        self._send = send
        self._fault = fault
        self._left = fault.after_chunks or 0

    async def __call__(self, message: Message) -> None:
        """Send, or strike; `EngineDiedError` when the engine dies."""
        more = message.get("more_body", False)
        if message["type"] != "http.response.body" or (more and not message["body"]):
            await self._send(message)  # the head, or what makes a server send it
        elif self._left and more:
            self._left -= 1
            await self._send(message)
        else:
            await self._strike(message.get("body", b""))

    async def _strike(self, chunk: bytes) -> None:
        if self._left:
            await self._send({"type": "http.response.body", "body": chunk[: len(chunk) // 2], "more_body": True})
        if self._fault.mode == "stall":
            await forever()
        raise EngineDiedError


class Faults:
    """The fault that is set now, and whether `/health` is made to say no."""

    def __init__(self) -> None:
        self.current = Fault()
        self.not_ready = False
        """True: `/health` answers 503; inference goes on, as in a pod that fails only its probe."""
        self._left: int | None = None

    def set(self, fault: Fault) -> None:
        """Let this fault strike from the next inference request on."""
        self.current = fault
        self._left = fault.count

    def clear(self) -> None:
        """All is well again, `/health` included."""
        self.set(Fault())
        self.not_ready = False

    def strike(self) -> Fault:
        """Give the fault for one more request, counting down."""
        fault = self.current
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.set(Fault())
        return fault

    def snapshot(self) -> dict[str, object]:
        """Give what is set, for `/sim/state`; `count` is what is left."""
        return {**msgspec.structs.asdict(self.current), "count": self._left, "not_ready": self.not_ready}


async def hang_up(send: Send) -> None:
    """Make the server close the connection without an answer; always raises `EngineDiedError`."""
    try:
        await send(IMPOSSIBLE_HEAD)
    except Exception as error:
        raise EngineDiedError from error
    raise EngineDiedError


async def forever() -> None:
    """Wait for nothing; ends only by cancellation."""
    await asyncio.get_running_loop().create_future()
