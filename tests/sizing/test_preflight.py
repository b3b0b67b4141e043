import asyncio
import math

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from aibrix_mw.app import create_app
from aibrix_mw.engine.faults import Fault
from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.sizing.failures import LimitMet, TargetRefused
from aibrix_mw.sizing.orders import Setup
from aibrix_mw.sizing.preflight import check
from aibrix_mw.sizing.target import parse_target
from aibrix_mw.sizing.workload import Workload
from tests.ports import free_port
from tests.serving import listening

FAST = EngineOptions(models=("m", "alias"), prefill_tokens_per_second=math.inf, decode_tokens_per_second=math.inf)


async def asked(app, model="m", path="", **workload):
    async with listening(app, lifespan="off") as url:
        setup = Setup(parse_target(url + path, "chat"), Workload(model, output_tokens=2, **workload))
        return await asyncio.to_thread(check, setup)


async def test_the_workload_is_calibrated():
    setup = await asked(create_engine(FAST), prompt_tokens=200)
    assert setup.workload.bytes_per_token == pytest.approx(4.0, rel=0.02)
    assert setup.workload.overhead == pytest.approx(7, abs=2)


async def test_a_file_is_taken_as_it_is(tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "hi"}]}\n')
    setup = await asked(create_engine(FAST), file=str(file))
    assert setup.workload.overhead == 0.0


async def test_a_prefix_before_v1():
    app = Starlette(routes=[Mount("/llm", create_engine(FAST))])
    assert (await asked(app, path="/llm/v1")).target.prefix == "/llm"


async def test_a_model_that_does_not_exist():
    with pytest.raises(TargetRefused, match="does not serve the model other; it serves: m, alias"):
        await asked(create_engine(FAST), model="other")


async def test_a_path_that_is_not_there():
    with pytest.raises(TargetRefused, match=r"/x/v1/chat/completions is not there: 404 Not Found\. The URL is that of"):
        await asked(create_engine(FAST), path="/x")


async def test_nobody_listens():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TargetRefused, match=f"{url} cannot be reached"):
        await asyncio.to_thread(check, Setup(parse_target(url, "chat"), Workload("m")))


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, TargetRefused, "wants a key that opens m: 401 no. Give one with --api-key"),
        (403, TargetRefused, "wants a key that opens m: 403 no"),
        (429, LimitMet, "refuses a single request: 429 no. Raise that limit"),
        (404, TargetRefused, "fails a single request"),
        (400, TargetRefused, r"fails a single request \(status_400\): 400 no"),
    ],
)
async def test_refusals(status, error, text):
    async def refuse(_):
        return JSONResponse({"error": {"message": "no"}}, status)

    async def models(_):
        return JSONResponse({"object": "list", "data": [{"id": "m"}]})

    app = Starlette(routes=[Route("/v1/chat/completions", refuse, methods=["POST"]), Route("/v1/models", models)])
    with pytest.raises(error, match=text):
        await asked(app)


async def test_a_broken_engine():
    engine = create_engine(FAST)
    engine.faults.set(Fault(mode="error", status=500))
    with pytest.raises(TargetRefused, match=r"fails a single request \(status_500\): 500 a fault on demand"):
        await asked(engine)


async def test_a_limit_of_our_own_gateway():
    async with listening(create_engine(FAST)) as engine:
        profiles = {"defaultProfile": "d", "profiles": {"d": {"requestsPerSecond": 1}}}
        gateway = create_app({"models": {"m": {"endpoints": [engine], "config": profiles}}})
        with pytest.raises(LimitMet, match=r"429 .* \(x-error-model-rps-exceeded\)"):
            async with gateway.running():
                await asked(gateway.stack)
