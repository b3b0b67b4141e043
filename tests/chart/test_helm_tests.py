"""`helm test`: the pods, and their script against a real gateway with simulated engines."""

import asyncio
import math
import sys
from contextlib import asynccontextmanager

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.keys import hash_of, new_key
from tests.chart.pieces import KEYS, VALKEY, gateway, merged
from tests.chart.rendering import find, one, render
from tests.serving import listening

MODEL = {"models": {"my-model": {"engine": "simulated"}}}
FAST = EngineOptions(models=("my-model",), prefill_tokens_per_second=math.inf, decode_tokens_per_second=math.inf)


def limited(limit):
    profiles = {"default": {"requestsPerSecond": limit}}
    return merged(MODEL, VALKEY, {"models": {"my-model": {"config": {"profiles": profiles}}}})


def checks_of(values):
    return sorted(item["metadata"]["name"].removeprefix("gw-aibrix-mw-test-") for item in find(render(values), "Pod"))


# -- which there are


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ["models", "ready"]),
        (MODEL, ["chat", "models", "ready"]),
        (limited(5), ["chat", "limit", "models", "ready"]),
        (limited(51), ["chat", "models", "ready"]),
        (merged(limited(5), KEYS), ["ready"]),
        (merged(limited(5), KEYS, {"tests": {"clientKey": {"name": "k"}}}), ["chat", "limit", "models", "ready"]),
        (merged(MODEL, {"tests": {"enabled": False}}), []),
        (merged(MODEL, gateway(enabled=False)), []),
    ],
    ids=str,
)
def test_there_are_these(values, names):
    assert checks_of(values) == names


def test_pods_are_hooks_that_clean_up():
    for item in find(render(limited(5)), "Pod"):
        assert item["metadata"]["annotations"] == {
            "helm.sh/hook": "test",
            "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        }
        assert item["spec"]["restartPolicy"] == "Never"
        assert item["spec"]["automountServiceAccountToken"] is False


def test_client_key_is_a_file():
    values = merged(MODEL, KEYS, {"tests": {"clientKey": {"name": "given", "key": "k"}}})
    spec = one(render(values), "Pod", "gw-aibrix-mw-test-chat")["spec"]
    (volume,) = spec["volumes"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    (item,) = volume["secret"]["items"]
    variables = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
    assert (volume["secret"]["secretName"], item["key"]) == ("given", "k")
    assert variables["CLIENT_KEY_FILE"] == f"{mount['mountPath']}/{item['path']}"


# -- what they see


async def run(check, url, values, **variables):
    """Run a test pod's own command against a gateway; return its exit code and what it said."""
    container = one(render(values), "Pod", f"gw-aibrix-mw-test-{check}")["spec"]["containers"][0]
    assert container["command"] == ["python", "-c"]
    own = {variable["name"]: variable["value"] for variable in container["env"]}
    assert own["GATEWAY_URL"] == "http://gw-aibrix-mw.llm:80"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        *container["args"],
        env={**own, "GATEWAY_URL": url, "TIMEOUT": "0", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@asynccontextmanager
async def serving(engine, limit=0, **settings):
    config = {"profiles": {"default": {"requestsPerSecond": limit}}}
    app = create_app({"models": {"my-model": {"endpoints": [engine], "config": config}}, **settings})
    async with app.running():
        yield app


async def test_all_pass_on_a_gateway_that_works():
    async with (
        listening(create_engine(FAST)) as engine,
        serving(engine, limit=2) as app,
        listening(app, lifespan="off") as url,
    ):
        for check in ("ready", "models", "chat", "limit"):
            code, said = await run(check, url, limited(2))
            assert (code, said[:7]) == (0, "passed:"), said


async def test_a_limit_that_does_not_hold_is_seen():
    async with (
        listening(create_engine(FAST)) as engine,
        serving(engine) as app,
        listening(app, lifespan="off") as url,
    ):
        code, said = await run("limit", url, limited(2))
        assert code == 1
        assert "none of 9 requests at once was over the limit of 2" in said


async def test_a_key_is_sent(tmp_path):
    key = new_key()
    (tmp_path / "keys.yaml").write_text(f"[{{name: tester, sha256: {hash_of(key)}}}]")
    (tmp_path / "key").write_text(key + "\n")
    values = merged(MODEL, KEYS, {"tests": {"clientKey": {"name": "k"}}})
    async with (
        listening(create_engine(FAST)) as engine,
        serving(engine, auth={"keys_file": str(tmp_path / "keys.yaml")}) as app,
        listening(app, lifespan="off") as url,
    ):
        code, said = await run("chat", url, values, CLIENT_KEY_FILE=str(tmp_path / "key"))
        assert code == 0, said
        (tmp_path / "key").write_text("wrong")
        code, said = await run("chat", url, values, CLIENT_KEY_FILE=str(tmp_path / "key"))
        assert code == 1
        assert "401" in said


async def test_a_gateway_that_is_away_is_seen():
    code, said = await run("ready", "http://127.0.0.1:9", {})
    assert code == 1
    assert said.startswith("FAILED: /readyz: 0")


async def test_a_model_that_never_comes_is_seen():
    async with (
        serving("http://127.0.0.1:9") as app,
        listening(app, lifespan="off") as url,
    ):
        code, said = await run("chat", url, MODEL)
        assert code == 1
        assert "chat completion of my-model: 502" in said
