"""The inference endpoints as plain ASGI applications: body, fault, queue, answer, and noticing that the client left."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from aibrix_mw.engine import answers, text
from aibrix_mw.engine.answers import Envelope, Json, Shape
from aibrix_mw.engine.faults import EngineDiedError, Faults
from aibrix_mw.engine.journal import Journal
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.protocol import Ask, Generation, read_embedding, read_generation
from aibrix_mw.engine.refusals import ApiError, json_response
from aibrix_mw.engine.scheduler import Job, Run, Scheduler
from aibrix_mw.engine.transfers import Transfers

REQUEST_ID = "aibrix_mw.engine.request_id"
"""Key of the scope under which the engine keeps the request's id."""
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8")]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints of one engine share."""

    options: EngineOptions
    scheduler: Scheduler
    faults: Faults
    journal: Journal
    transfers: Transfers
    loaded: Callable[[], bool]

    @property
    def fingerprint(self) -> str:
        """Say in every answer that it is made up, and by whom."""
        return f"aibrix-mw-sim:{self.options.name}"


class Inference:
    """An endpoint that may fail on demand and stops working for a client that has left. Subclasses `answer`."""

    def __init__(self, parts: Parts, path: str) -> None:
        self.parts = parts
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        self.parts.journal.note(scope, self.path, body)
        with suppress(EngineDiedError):
            await unless_client_leaves(receive, self._serve(scope, receive, send, body))

    async def answer(self, body: bytes, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; `ApiError` before anything is sent."""
        raise NotImplementedError

    async def _serve(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        try:
            if not self.parts.loaded():
                raise ApiError(503, "The model is still loading.", type="ServiceUnavailableError")
            fault = self.parts.faults.strike()
            await fault.before_answer(send)
            await self.answer(body, scope[REQUEST_ID], scope, receive, fault.during_answer(send))
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)


class TextInference(Inference):
    """Chat completions and completions: the same generation in two shapes."""

    def __init__(self, parts: Parts, path: str, kind: type[Generation], shape: Shape) -> None:
        super().__init__(parts, path)
        self._kind = kind
        self._shape = shape

    async def answer(self, body: bytes, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Generate, streamed or at once."""
        ask = read_generation(body, self._kind, self.parts.options)
        if ask.transfer.do_remote_prefill:
            tokens = await self.parts.transfers.fetch(ask.transfer)
            ask = msgspec.structs.replace(ask, job=msgspec.structs.replace(ask.job, transferred=tokens))
        envelope = Envelope(self._shape, request_id, ask.model, self.parts.fingerprint)
        if ask.stream:
            await self._stream(ask, envelope, send)
            return
        result = await self._whole(ask, envelope)
        if ask.transfer.do_remote_decode:
            prompt = ask.job.prompt_tokens
            blocks = -(-prompt // self.parts.options.block_tokens)
            result["kv_transfer_params"] = self.parts.transfers.announce(request_id, prompt, blocks, scope)
        await json_response(result)(scope, receive, send)

    async def _whole(self, ask: Ask, envelope: Envelope) -> Json:
        async with self.parts.scheduler.slot(ask.job) as run:
            for _ in range(ask.job.max_tokens):
                await run.token()
            run.finish(ask.reason)
        answer = "".join(text.word(ask.digest, position) for position in range(run.generated))
        return envelope.whole(self._shape.whole(answer, ask.reason), usage(run))

    async def _stream(self, ask: Ask, envelope: Envelope, send: Send) -> None:
        # Like vLLM, the head goes out at once: it says nothing about when the first token comes. A server may hold it
        # until there is a body, if only an empty one.
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        await send_chunk(send, b"")
        async with self.parts.scheduler.slot(ask.job) as run:
            await self._tokens(ask, envelope, run, send)
            run.finish(ask.reason)
        await send_chunk(send, envelope.event(self._shape.ending(ask.reason)))
        if ask.include_usage:
            await send_chunk(send, envelope.event(None, usage(run)))
        await send_chunk(send, answers.DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tokens(self, ask: Ask, envelope: Envelope, run: Run, send: Send) -> None:
        for position in range(ask.job.max_tokens):
            await run.token()
            opening = self._shape.opening() if position == 0 else None
            if opening is not None:
                await send_chunk(send, envelope.event(opening))
            await send_chunk(send, envelope.event(self._shape.piece(text.word(ask.digest, position))))


class EmbeddingInference(Inference):
    """Embeddings: a prefill and nothing after it."""

    async def answer(self, body: bytes, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one vector per text."""
        options = self.parts.options
        request, model, texts = read_embedding(body, options)
        job = Job(sum(map(text.count_tokens, texts)))
        async with self.parts.scheduler.slot(job) as run:
            await run.prefill()
            run.finish("stop")
        dimensions = request.dimensions or answers.DEFAULT_DIMENSIONS
        vectors = [text.embedding(data, options.seed, dimensions) for data in texts]
        as_base64 = request.encoding_format == "base64"
        result = answers.embeddings(request_id, model, vectors, job.prompt_tokens, as_base64=as_base64)
        await json_response(result)(scope, receive, send)


class InstantInference(Inference):
    """What an engine answers without its model: tokenising, and back."""

    def __init__(self, parts: Parts, path: str, compute: Callable[[bytes, EngineOptions], Json]) -> None:
        super().__init__(parts, path)
        self._compute = compute

    async def answer(self, body: bytes, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once."""
        await json_response(self._compute(body, self.parts.options))(scope, receive, send)


def usage(run: Run) -> Json:
    """Give the token counts of a run."""
    return answers.usage_of(run.job.prompt_tokens, run.generated, run.cached_tokens)


async def send_chunk(send: Send, chunk: bytes) -> None:
    """Send a piece of a body that goes on."""
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def unless_client_leaves(receive: Receive, work: Coroutine[None, None, None]) -> None:
    """Do the work, and cancel it as soon as the client is gone; what the work raises is raised."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(client_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    if not working.cancelled():
        working.result()


async def client_left(receive: Receive) -> None:
    """Return once the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
