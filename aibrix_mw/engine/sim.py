"""A simulated vLLM: what a gateway sees of an engine, without a model.

Real are the API (OpenAI's shapes, vLLM's errors, streaming, `/metrics` names), the order of events and all counts.
Made up are the words (drawn from a short list by a hash of seed, prompt and position), the tokens (four bytes each),
the vectors, and time: prefill and decode at fixed speed, a queue before a batch of bounded size, a prefix cache in
blocks. Sampling parameters, `stop`, tools and images make no difference to the answer. Nothing hides it: each answer
has the headers `server: aibrix-mw simulated engine` and `x-sim-engine: NAME`, and generated ones a
`system_fingerprint` of `aibrix-mw-sim:NAME`. Serve it with uvicorn's `server_header=False`, or there are two servers.

`kv_transfer_params` make it one half of a prefill/decode pair (see `transfers`).

`POST /sim/faults` breaks it on purpose (see `faults`), `GET /sim/state` tells what it saw. Neither asks for a key: it
is a tool for demos and tests, not for an open network.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw.engine import answers, protocol, text
from aibrix_mw.engine.faults import MODES, Fault, Faults
from aibrix_mw.engine.inference import REQUEST_ID, EmbeddingInference, InstantInference, Parts, TextInference
from aibrix_mw.engine.journal import Journal
from aibrix_mw.engine.metrics import REASONS, EngineMetrics
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.refusals import ApiError, bad_request, json_response
from aibrix_mw.engine.scheduler import Clock, Scheduler, Sleep
from aibrix_mw.engine.transfers import PATH as TRANSFERS
from aibrix_mw.engine.transfers import Fetch, Transfers

__all__ = ["Engine", "EngineOptions", "Fault", "create_engine"]

SERVER = "aibrix-mw simulated engine"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Endpoint = Callable[[Request], Awaitable[Response]]


class FaultOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /sim/faults`: the fields of a `Fault`, of which `mode` sets one, and `not_ready` for `/health`."""

    mode: str | None = None
    after_chunks: int | None = None
    status: int = 503
    count: int | None = None
    not_ready: bool | None = None

    def fault(self) -> Fault | None:
        """Give the fault that is to be set, if any; `ValueError` for values out of range."""
        if self.mode is not None:
            return Fault(mode=self.mode, after_chunks=self.after_chunks, status=self.status, count=self.count)
        if self.not_ready is None:
            raise ValueError(f"nothing to set: mode (one of {', '.join(MODES)}) or not_ready")
        return None


class Engine:
    """One simulated engine, an ASGI application. What tests want to look at or to break is public."""

    def __init__(self, options: EngineOptions, clock: Clock, sleep: Sleep) -> None:
        self.options = options
        self.faults = Faults()
        self.journal = Journal()
        self.metrics = EngineMetrics(options.model)
        self.transfers = Transfers(f"{options.name}-{secrets.token_hex(4)}")
        self.scheduler = Scheduler(options, self.metrics, clock, sleep)
        self._clock = clock
        self._born = clock()
        self._created = int(time.time())
        self._ids = 0
        self._inference = self._inference_routes()
        self._paths = {route.path for route in self._inference} | set(self._other_endpoints())
        self._app = self._build()

    @property
    def loaded(self) -> bool:
        """Whether `load_seconds` are over."""
        return self._clock() - self._born >= self.options.load_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        self.journal.requests[path if path in self._paths else "other"] += 1
        scope[REQUEST_ID] = Headers(scope=scope).get("x-request-id") or self._next_id()
        await self._app(scope, receive, self._signed(scope[REQUEST_ID], send))

    def gauges(self) -> dict[str, float]:
        """Give the values of the gauges, by metric name."""
        return {
            "vllm:num_requests_running": self.scheduler.running,
            "vllm:num_requests_waiting": self.scheduler.waiting,
            "vllm:kv_cache_usage_perc": self.scheduler.kv.used / self.options.kv_blocks,
        }

    def finished(self) -> dict[str, int]:
        """Give how many requests ended for each reason: `stop`, `length`, `abort`."""
        name = "vllm:request_success_total"
        return {reason: int(self.metrics.value(name, f'finished_reason="{reason}"')) for reason in REASONS}

    def state(self) -> dict[str, object]:
        """Give what `/sim/state` answers."""
        return {
            "name": self.options.name,
            "models": self.options.models,
            "adapters": self.options.adapters,
            "loaded": self.loaded,
            "running": self.scheduler.running,
            "waiting": self.scheduler.waiting,
            "kv_blocks_used": self.scheduler.kv.used,
            "kv_blocks_cached": self.scheduler.kv.cached,
            "finished": self.finished(),
            "requests": dict(self.journal.requests),
            "faults": self.faults.snapshot(),
            "transfers": {
                "announced": len(self.transfers.announced),
                "given": self.transfers.given,
                "fetched": self.transfers.fetched,
            },
            "last_requests": list(self.journal.last),
        }

    def _next_id(self) -> str:
        self._ids += 1
        return f"{text.digest(f'{self.options.name} {self._ids}'.encode(), self.options.seed):016x}"

    def _signed(self, request_id: str, send: Send) -> Send:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": list(message.get("headers", ()))}
                headers = MutableHeaders(scope=message)
                headers["server"] = SERVER
                headers["x-sim-engine"] = self.options.name
                headers["x-request-id"] = request_id
            await send(message)

        return signed

    def _inference_routes(self) -> list[Route]:
        parts = Parts(self.options, self.scheduler, self.faults, self.journal, self.transfers, lambda: self.loaded)
        chat, plain, vectors = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
        apps: dict[str, ASGIApp] = {
            chat: TextInference(parts, chat, protocol.ChatRequest, answers.Chat()),
            plain: TextInference(parts, plain, protocol.CompletionRequest, answers.Completion()),
            vectors: EmbeddingInference(parts, vectors),
            "/tokenize": InstantInference(parts, "/tokenize", protocol.tokenize),
            "/detokenize": InstantInference(parts, "/detokenize", protocol.detokenize),
        }
        return [Route(path, app, methods=["POST"]) for path, app in apps.items()]

    def _other_endpoints(self) -> dict[str, tuple[str, Endpoint]]:
        return {
            "/v1/models": ("GET", self._models),
            "/health": ("GET", self._health),
            "/metrics": ("GET", self._metrics),
            "/sim/faults": ("POST", self._set_faults),
            "/sim/state": ("GET", self._state),
            TRANSFERS: ("POST", self._hand_over),
        }

    def _build(self) -> Starlette:
        others = self._other_endpoints().items()
        routes = [*self._inference, *(Route(path, app, methods=[method]) for path, (method, app) in others)]
        return Starlette(routes=routes, exception_handlers={ApiError: api_error, HTTPException: http_error})

    async def _models(self, _: Request) -> Response:
        return json_response(answers.models(self.options, self._created))

    async def _health(self, _: Request) -> Response:
        return Response(status_code=200 if self.loaded and not self.faults.not_ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return PlainTextResponse(self.metrics.render(self.gauges()), media_type=METRICS_TYPE)

    async def _set_faults(self, request: Request) -> Response:
        order = protocol.decode(await request.body(), FaultOrder)
        try:
            fault = order.fault()
        except ValueError as error:
            raise bad_request(str(error)) from error
        if fault is not None:
            self.faults.set(fault)
        if order.not_ready is not None:
            self.faults.not_ready = order.not_ready
        return json_response(self.faults.snapshot())

    async def _hand_over(self, request: Request) -> Response:
        wanted = protocol.decode(await request.body(), Fetch)
        return json_response({"tokens": self.transfers.give(wanted)})

    async def _state(self, _: Request) -> Response:
        return json_response(self.state())


async def api_error(_: Request, error: Exception) -> Response:
    """Answer an `ApiError`."""
    assert isinstance(error, ApiError)
    return error.response()


async def http_error(_: Request, error: Exception) -> Response:
    """Answer an unknown path or method as FastAPI does, which vLLM is built on."""
    assert isinstance(error, HTTPException)
    return Response(
        msgspec.json.encode({"detail": error.detail}), error.status_code, error.headers, media_type="application/json"
    )


def create_engine(options: EngineOptions, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> Engine:
    """Make a simulated engine whose loading begins now.

    `clock` gives seconds and `sleep` waits for some: in a test both may belong to a time that the test moves.
    """
    return Engine(options, clock, sleep)
