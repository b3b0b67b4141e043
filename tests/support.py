"""What many tests need: pods, an upstream that does what a script says, and a gateway over it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from aibrix_mw.app import create_app
from aibrix_mw.pods.pod import Address, Pod, PodInfo
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from aibrix_mw.profiles import parse_config
from aibrix_mw.request import InferenceRequest, parse_fields
from tests.asgi import BODY as BODY
from tests.asgi import CHAT as CHAT
from tests.asgi import Client as Client
from tests.asgi import Reply as Reply
from tests.asgi import ask as ask

STREAM_BODY = b'{"model": "m", "stream": true, "messages": []}'
JSON_HEADERS = [(b"content-type", b"application/json")]
SSE_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8")]
DONE = b"data: [DONE]\n\n"


class Clock:
    """A clock in the test's hand."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


# --- pods


def info(number: int = 1, model: str = "m", **changes: Any) -> PodInfo:
    """What discovery says of pod `number`."""
    fields: dict[str, Any] = {
        "uid": f"uid-{number}",
        "name": f"pod-{number}",
        "namespace": "ns",
        "address": Address(f"10.0.0.{number}", 8000),
    }
    return PodInfo(model=model, **fields | changes)


def registry_of(*infos: PodInfo, aliases: Sequence[str] = (), config: dict[str, Any] | None = None) -> PodRegistry:
    """A registry with these pods; aliases and config are those of model `m`."""
    registry = PodRegistry()
    if aliases or config:
        parsed = parse_config(config)[0] if config else None
        registry.define({"m": ModelDefinition(config=parsed, aliases=tuple(aliases))})
    for pod in infos:
        registry.put("test", pod)
    return registry


def make_pods(count: int) -> list[Pod]:
    """Live pods without a registry."""
    return [Pod(info(number)) for number in range(1, count + 1)]


def ask_for(body: bytes = BODY, path: str = CHAT, **headers: bytes) -> InferenceRequest:
    """An inference request; `x_session_id=b"..."` gives the header x-session-id."""
    fields = parse_fields(body)
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return InferenceRequest(
        model=fields.model, requested_model=fields.model, path=path, body=body, fields=fields, headers=named
    )


# --- the engines' side


class FakeAnswer:
    """An engine's answer: chunks, exceptions and events to wait for, in order.

    The end is known with the last chunk, unless a last b"" says that it comes by itself.
    """

    def __init__(self, *steps, status=200, headers=JSON_HEADERS):
        self.status = status
        self.headers = list(headers)
        self.steps = list(steps)
        self.reading = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def ended(self):
        return not self.steps

    async def read(self):
        while self.steps and isinstance(self.steps[0], asyncio.Event):
            self.reading.set()
            await self.steps[0].wait()
            self.steps.pop(0)
        step = self.steps.pop(0) if self.steps else b""
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def closed(self):
        return self.gone.is_set()

    def close(self):
        self.gone.set()


class FakeUpstream:
    """An upstream whose `script` says for each request what comes: an answer, an exception, or an event to wait for."""

    def __init__(self, script: Callable[..., Any] | None = None) -> None:
        self.script = script or (lambda _request: FakeAnswer(b'{"ok": true}'))
        self.requests: list[Any] = []
        self.timers: list[Any] = []
        self.bodies: list[bytes] = []
        self.aborted = 0
        self.closed = False
        self.asked = asyncio.Event()

    async def send(self, request, timers):
        self.requests.append(request)
        self.timers.append(timers)
        at = len(self.bodies)
        self.bodies.append(bytes(request.body))
        self.asked.set()
        try:
            if request.rest is not None:
                async for chunk in request.rest:
                    self.bodies[at] += chunk
            step = self.script(request)
            if isinstance(step, asyncio.Event):
                await step.wait()
                step = self.script(request)
        except BaseException:
            self.aborted += 1
            raise
        if isinstance(step, Exception):
            raise step
        return step

    async def aclose(self):
        self.closed = True

    @property
    def hosts(self):
        """Which pods were asked, by address."""
        return [request.address.host for request in self.requests]


def in_turn(*steps):
    """A script: one step a request."""
    remaining = list(steps)
    return lambda _request: remaining.pop(0)


# --- the whole gateway


async def settle(turns: int = 5) -> None:
    """Let the event loop do what is ready."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells: a change that somebody has to notice on a real file."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Running:
    """A running gateway over a fake upstream, as a context manager."""

    def __init__(self, script=None, *, pods: int | Sequence[PodInfo] = 2, config=None, **settings: Any) -> None:
        self.upstream = FakeUpstream(script)
        infos = [info(number) for number in range(1, pods + 1)] if isinstance(pods, int) else pods
        strategies, outer = settings.pop("strategies", {}), settings.pop("outer", ())
        models = settings.pop("models", {"m": {"config": config} if config else {}})
        self.gateway = create_app({"models": models, **settings}, strategies=strategies, outer=outer)
        self.gateway.upstream.plain = self.upstream
        self.registry = self.gateway.registry
        for pod in infos:
            self.registry.put("test", pod)
        self._running = self.gateway.running()

    async def __aenter__(self):
        await self._running.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._running.__aexit__(*error)

    async def ask(self, *args: Any, **options: Any) -> Reply:
        return await ask(self.gateway, *args, **options)

    @property
    def in_flight(self):
        return [pod.in_flight for pod in self.registry.serving("m")]

    async def outcomes(self) -> dict[tuple[str, ...], int]:
        """What was counted: (model, profile, code, outcome) -> times."""
        return await self.counted("aibrix_gateway_requests_total", "model", "profile", "code", "outcome")

    async def counted(self, name: str, *labels: str) -> dict[tuple[str, ...], int]:
        """Samples of one name by the values of these labels."""
        text = (await ask(self.gateway.admin, b"", "/metrics", method="GET")).body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {
            tuple(sample.labels[label] for label in labels): int(sample.value)
            for sample in samples
            if sample.name == name
        }
