"""Two requests before any load: whether the target answers, and how it counts tokens."""

import asyncio
import time
from random import Random

import msgspec

from aibrix_mw.errors import UpstreamError
from aibrix_mw.sizing.client import Client, Flight, Patience
from aibrix_mw.sizing.failures import LimitMet, SizingError, TargetRefused
from aibrix_mw.sizing.orders import Setup
from aibrix_mw.sizing.workload import Texts
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.fetch import Fetch
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.schemes import SchemeUpstream

PATIENCE = Patience(answer=120.0, silence=60.0)
_MODELS_SECONDS = 5.0


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def check(setup: Setup) -> Setup:
    """Ask twice, and give the set-up with a workload of the right sizes; SizingError says what is wrong."""
    return asyncio.run(_with_upstream(setup))


async def _with_upstream(setup: Setup) -> Setup:
    upstream = SchemeUpstream(Http1Upstream())
    try:
        return await ask(setup, upstream)
    finally:
        await upstream.aclose()


async def ask(setup: Setup, upstream: Upstream) -> Setup:
    """As `check`, through this upstream."""
    client = Client(upstream, setup.target, time.monotonic)
    workload = setup.workload
    if workload.file is not None:
        await _answered(client, next(workload.bodies(Random(0))), setup)
        return setup
    texts = Texts(Random())
    seen = []
    for size in (workload.prompt_bytes() // 2, workload.prompt_bytes()):
        text = texts.make(max(size, 1))
        flight = await _answered(client, workload.body(text), setup)
        seen.append((len(text), flight.stream.prompt_tokens))
    return msgspec.structs.replace(setup, workload=workload.calibrated(*seen))


async def _answered(client: Client, body: bytes, setup: Setup) -> Flight:
    flight = Flight(client.clock())
    await client.ask(flight, body, PATIENCE)
    if flight.error:
        raise await _explained(flight, client, setup)
    return flight


async def _explained(flight: Flight, client: Client, setup: Setup) -> SizingError:
    target, model = setup.target, setup.workload.model
    where = f"{target.url}{target.path.removeprefix(target.prefix)}"
    if flight.error == "connect":
        return TargetRefused(f"{target.url} cannot be reached: {flight.detail}")
    if flight.error == "status_429":
        return LimitMet(f"{where} refuses a single request: {flight.detail}. Raise that limit, or wait for its end.")
    if flight.error in ("status_401", "status_403"):
        return TargetRefused(f"{where} wants a key that opens {model}: {flight.detail}. Give one with --api-key.")
    if flight.error == "status_404":
        served = await _served(client)
        if served is None:
            return TargetRefused(f"{where} is not there: {flight.detail}. The URL is that of the server, before /v1.")
        if model not in served:
            names = ", ".join(served) or "none"
            return TargetRefused(f"{target.url} does not serve the model {model}; it serves: {names}.")
    return TargetRefused(f"{where} fails a single request ({flight.error}): {flight.detail}")


async def _served(client: Client) -> list[str] | None:
    """The models that the target lists; None when it lists none."""
    fetch = Fetch(client.upstream, _MODELS_SECONDS)
    try:
        body = await fetch(client.target.address, client.target.models_path.encode())
        return [model.id for model in msgspec.json.decode(body, type=_Models).data]
    except (UpstreamError, msgspec.DecodeError):
        return None
