"""A prefill engine and a decode engine over NIXL, and a gateway before them.

Such engines poll for transfers all the time: they run only for this module.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.ports import free_port
from tests.vllm.processes import MODEL, SHORT_SECONDS, Engine, Gateway

pytestmark = pytest.mark.vllm

PROMPT = " ".join(f"word{number}" for number in range(120))
TRANSFERRED = "vllm:prompt_tokens_by_source_total"


@pytest.fixture(scope="module")
def pair(
    installation: Path, tmp_path_factory: pytest.TempPathFactory, report: dict[str, str]
) -> Iterator[list[Engine]]:
    """The engines of both roles, alive at the same time."""
    folder = tmp_path_factory.mktemp("pair")
    engines = [half(role, installation, folder) for role in ("prefill", "decode")]
    try:
        for engine in engines:
            engine.start()
        seconds = [engine.wait_ready(f"{engine.url}/health") for engine in engines]
        report["prefill and decode over NIXL, ready after"] = f"{sum(seconds):.1f} s"
        yield engines
    finally:
        for engine in engines:
            engine.kill()


def half(role: str, installation: Path, folder: Path) -> Engine:
    kinds = {"prefill": "kv_producer", "decode": "kv_consumer"}
    transfer = {"kv_connector": "NixlConnector", "kv_role": kinds[role], "kv_buffer_device": "cpu"}
    channel = {"VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.1", "VLLM_NIXL_SIDE_CHANNEL_PORT": str(free_port())}
    network = {"UCX_NET_DEVICES": "lo", "UCX_TLS": "tcp,sm,self"}
    flags = ("--kv-transfer-config", json.dumps(transfer))
    return Engine(role, installation, folder, *flags, **channel, **network)


@pytest.fixture(scope="module")
def gateway(pair: list[Engine], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("pair-gateway")
    pods = folder / "pods.yaml"
    pods.write_text(yaml.safe_dump_all([pod(engine) for engine in pair]))
    gateway = Gateway(pair, folder, pods)
    try:
        gateway.start()
        gateway.wait_ready(f"{gateway.admin_url}/readyz")
        yield gateway
        assert gateway.terminate() == 0, gateway.tail()
    finally:
        gateway.kill()


def pod(engine: Engine) -> dict[str, object]:
    labels = {
        "model.aibrix.ai/name": MODEL,
        "model.aibrix.ai/port": engine.url.rpartition(":")[2],
        "role-name": engine.name,
        "roleset-name": "one",
        "model.aibrix.ai/pd-compatibility": "this",
    }
    config = json.dumps({"profiles": {"default": {"routingStrategy": "pd"}}})
    annotations = {"model.aibrix.ai/config": config}
    return {"kind": "Pod", "metadata": {"name": engine.name, "labels": labels, "annotations": annotations}}


async def complete(url: str, **fields: object) -> httpx.Response:
    body = {"model": MODEL, "prompt": PROMPT, "max_tokens": 8, "temperature": 0.0, **fields}
    async with httpx.AsyncClient(base_url=url, timeout=SHORT_SECONDS) as http:
        answer = await http.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


async def test_blocks_travel_from_prefill_to_decode(
    pair: list[Engine], gateway: Gateway, report: dict[str, str]
) -> None:
    prefill, decode = pair
    disaggregated = await complete(gateway.url)
    assert disaggregated.headers["prefill-target-pod"] == "prefill"
    assert disaggregated.headers["target-pod"] == "decode"
    assert "x-aibrix-pd" not in disaggregated.headers
    transferred = await decode.metric(TRANSFERRED, source="external_kv_transfer")
    tokens = disaggregated.json()["usage"]["prompt_tokens"]
    assert transferred >= tokens - 128  # whole blocks of 128 tokens, and the last token is always computed
    assert await prefill.metric("vllm:generation_tokens_total") == 1
    alone = await complete(prefill.url)
    assert disaggregated.json()["choices"][0]["text"] == alone.json()["choices"][0]["text"]
    report["prompt tokens that decode got by transfer"] = f"{transferred:.0f} of {tokens}"


async def test_streams_and_chats(pair: list[Engine], gateway: Gateway) -> None:
    _, decode = pair
    before = await decode.metric(TRANSFERRED, source="external_kv_transfer")
    streamed = await complete(gateway.url, prompt=PROMPT[::-1], stream=True, max_tokens=4, min_tokens=4)
    assert streamed.text.endswith("data: [DONE]\n\n")
    async with httpx.AsyncClient(base_url=gateway.url, timeout=SHORT_SECONDS) as http:
        body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT[1:]}], "max_completion_tokens": 4}
        chat = await http.post("/v1/chat/completions", json=body)
    assert (chat.status_code, chat.headers["prefill-target-pod"]) == (200, "prefill")
    assert await decode.metric(TRANSFERRED, source="external_kv_transfer") > before
    assert await gateway.metric("aibrix_gateway_pd_fallback_total") == 0


async def test_without_its_prefill_engine_the_decode_engine_serves_alone(
    pair: list[Engine], gateway: Gateway, report: dict[str, str]
) -> None:
    prefill, _ = pair
    expected = (await complete(gateway.url)).json()["choices"][0]["text"]
    prefill.kill()
    answer = await complete(gateway.url)
    assert answer.headers["x-aibrix-pd"] == "fallback"
    assert answer.json()["choices"][0]["text"] == expected
    assert await gateway.metric("aibrix_gateway_pd_prefill_errors_total", reason="connect") == 1
    report["after the death of the prefill engine"] = "200 by the decode engine alone"
