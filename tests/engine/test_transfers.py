"""Blocks handed from one simulated engine to another: what was announced, once, and nothing else."""

import httpx
import pytest

from aibrix_mw.engine.sim import EngineOptions, create_engine
from tests.ports import free_port
from tests.serving import listening

ANNOUNCE = {"do_remote_decode": True, "do_remote_prefill": False}
PROMPT = "x" * 400  # 100 tokens, 7 blocks


@pytest.fixture
async def pair():
    """Two engines on sockets: their clients, and the applications."""
    engines = [create_engine(EngineOptions(models=("m",), name=name)) for name in ("prefill", "decode")]
    async with (
        listening(engines[0]) as first,
        listening(engines[1]) as second,
        httpx.AsyncClient(base_url=first) as prefill,
        httpx.AsyncClient(base_url=second) as decode,
    ):
        yield prefill, decode, engines


async def ask(client, params, **fields):
    body = {"model": "m", "prompt": PROMPT, "max_tokens": 1, "kv_transfer_params": params, **fields}
    return await client.post("/v1/completions", json=body)


async def announced(prefill, **fields):
    answer = (await ask(prefill, ANNOUNCE, **fields)).json()
    return answer["kv_transfer_params"]


async def test_what_is_announced_is_fetched(pair):
    prefill, decode, (giver, taker) = pair
    params = await announced(prefill)
    assert params["do_remote_prefill"] is True
    assert params["do_remote_decode"] is False
    assert params["remote_block_ids"] == [[1, 2, 3, 4, 5, 6, 7]]
    assert params["remote_num_tokens"] == 100
    answer = await ask(decode, params, max_tokens=3)
    assert (answer.status_code, answer.json()["usage"]["completion_tokens"]) == (200, 3)
    assert "kv_transfer_params" not in answer.json()
    assert (giver.transfers.given, taker.transfers.fetched) == (1, 1)
    assert taker.metrics.value("vllm:prompt_tokens_by_source_total", 'source="external_kv_transfer"') == 100
    assert taker.metrics.value("vllm:prompt_tokens_by_source_total", 'source="local_compute"') == 0
    assert giver.state()["transfers"] == {"announced": 0, "given": 1, "fetched": 0}
    assert 'source="external_kv_transfer"' in (await decode.get("/metrics")).text


async def test_only_once(pair):
    prefill, decode, _ = pair
    params = await announced(prefill)
    assert (await ask(decode, params)).status_code == 200
    assert (await ask(decode, params)).status_code == 500


@pytest.mark.parametrize(
    "change",
    [
        {"remote_block_ids": [[1, 2]]},
        {"remote_block_ids": None},
        {"remote_engine_id": "another"},
        {"remote_engine_id": None},
        {"remote_request_id": "another"},
        {"remote_host": None},
        {"remote_port": None},
        {"remote_port": "free"},
    ],
)
async def test_anything_else_is_refused(pair, change):
    prefill, decode, (giver, taker) = pair
    params = await announced(prefill)
    if change.get("remote_port") == "free":
        change = {"remote_port": free_port()}
    answer = await ask(decode, {**params, **change})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalServerError"
    assert (giver.transfers.given, taker.transfers.fetched) == (0, 0)
    assert (await decode.get("/health")).status_code == 200


async def test_who_does_not_answer_http_is_refused(pair):
    _, decode, _ = pair

    async def odd(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"not json"})

    async with listening(odd, lifespan="off") as url:
        params = {"do_remote_prefill": True, "remote_host": "127.0.0.1", "remote_port": httpx.URL(url).port}
        answer = await ask(decode, {**params, "remote_engine_id": "e", "remote_request_id": "r"})
    assert answer.status_code == 500


async def test_streams_fetch_and_never_announce(pair):
    prefill, decode, (giver, taker) = pair
    params = await announced(prefill)
    answer = await ask(decode, params, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert taker.transfers.fetched == 1
    await ask(prefill, ANNOUNCE, stream=True)
    assert giver.transfers.announced == {}


def test_what_nobody_fetches_is_forgotten():
    engine = create_engine(EngineOptions(models=("m",)))
    for number in range(1030):
        engine.transfers.announce(str(number), 1, 1, {"server": ("h", 1)})
    assert len(engine.transfers.announced) == 1024
    assert "0" not in engine.transfers.announced
