import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount

from aibrix_mw.engine.journal import KEPT_BODY_BYTES, KEPT_REQUESTS


async def test_every_answer_says_who_made_it_up(quick, http):
    client = http(quick(name="pod-1"))
    for path in ("/v1/models", "/health", "/nothing"):
        answer = await client.get(path, headers={"x-request-id": "abc"})
        headers = [answer.headers[name] for name in ("server", "x-sim-engine", "x-request-id")]
        assert headers == ["aibrix-mw simulated engine", "pod-1", "abc"]


async def test_request_ids_are_made_where_there_is_none(quick, http):
    client = http(quick())
    ids = [(await client.get("/health")).headers["x-request-id"] for _ in range(2)]
    assert len({*ids, ""}) == 3


async def test_loading(make, http, time):
    client = http(make(load_seconds=30))
    assert (await client.get("/health")).status_code == 503
    refused = await client.post("/v1/completions", json={"prompt": "x"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "ServiceUnavailableError")
    await time.advance(30)
    assert (await client.get("/health")).status_code == 200


async def test_models(quick, http):
    models = (await http(quick(models=("m", "alias"), adapters=("lora",))).get("/v1/models")).json()["data"]
    assert [(m["id"], m["root"], m["parent"], m["max_model_len"]) for m in models] == [
        ("m", "m", None, 131072),
        ("alias", "m", None, 131072),
        ("lora", "lora", "m", None),
    ]


@pytest.mark.parametrize(
    ("path", "status", "detail"), [("/nothing", 404, "Not Found"), ("/sim/faults", 405, "Method Not Allowed")]
)
async def test_unknown_paths_and_methods(quick, http, path, status, detail):
    answer = await http(quick()).get(path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


async def test_metrics(quick, http):
    client = http(quick())
    await client.post("/v1/completions", json={"prompt": "x" * 400, "max_tokens": 7})
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    assert families["vllm:prompt_tokens"].samples[0].value == 100
    assert families["vllm:generation_tokens"].samples[0].value == 7
    assert families["vllm:request_success"].samples[1].labels["finished_reason"] == "length"
    assert families["vllm:request_success"].samples[1].value == 1


async def test_state(quick, http):
    client = http(quick(name="pod-1"))
    await client.post("/v1/completions", content=b'{"prompt": "x"}', headers=[("X-Twice", "1"), ("x-twice", "2")])
    await client.get("/somewhere")
    state = (await client.get("/sim/state")).json()
    seen = state.pop("last_requests")
    assert state == {
        "name": "pod-1",
        "models": ["m"],
        "adapters": [],
        "loaded": True,
        "running": 0,
        "waiting": 0,
        "kv_blocks_used": 0,
        "kv_blocks_cached": 0,
        "finished": {"stop": 1, "length": 0, "abort": 0},
        "requests": {"/v1/completions": 1, "other": 1, "/sim/state": 1},
        "transfers": {"announced": 0, "given": 0, "fetched": 0},
        "faults": {"mode": "none", "after_chunks": None, "status": 503, "count": None, "not_ready": False},
    }
    assert [(s["method"], s["path"], s["body"], s["body_bytes"]) for s in seen] == [
        ("POST", "/v1/completions", '{"prompt": "x"}', 15)
    ]
    assert [value for name, value in seen[0]["headers"] if name == "x-twice"] == ["1", "2"]


async def test_what_is_kept_is_bounded(quick, http):
    engine = quick()
    client = http(engine)
    for _ in range(KEPT_REQUESTS + 1):
        await client.post("/tokenize", content=b"\xff" * (KEPT_BODY_BYTES + 1))
    assert len(engine.journal.last) == KEPT_REQUESTS
    assert engine.journal.requests["/tokenize"] == KEPT_REQUESTS + 1
    assert (len(engine.journal.last[0].body), engine.journal.last[0].body_bytes) == (
        KEPT_BODY_BYTES,
        KEPT_BODY_BYTES + 1,
    )


async def test_mounted_under_a_prefix(quick, http):
    engine = quick()
    client = http(Starlette(routes=[Mount("/pod", app=engine)]))
    assert (await client.post("/pod/v1/completions", json={"prompt": "x"})).status_code == 200
    assert engine.journal.requests == {"/v1/completions": 1}
