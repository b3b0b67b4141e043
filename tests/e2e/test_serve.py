"""`aibrix-mw serve` as a process, before engines that are processes too."""

import json
import socket
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.support import CHAT, Gateway, chat, eventually

DATA = Path(__file__).parents[1] / "data"
MESSAGES = [{"role": "user", "content": "hello"}]


# --- the OpenAI client


@pytest.fixture
async def client(serve):
    gateway = serve()
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_openai_answers(client):
    made = await client.chat.completions.create(model="my-model", messages=MESSAGES, max_tokens=5)
    assert len(made.choices[0].message.content.split()) == 5
    assert made.usage.completion_tokens == 5
    vectors = await client.embeddings.create(model="my-model", input=["a", "b"])
    assert [len(item.embedding) for item in vectors.data] == [len(vectors.data[0].embedding)] * 2
    assert [model.id for model in (await client.models.list()).data] == ["my-model"]
    assert (await client.models.retrieve("my-model")).id == "my-model"


async def test_openai_stream(client):
    stream = await client.chat.completions.create(
        model="my-model", messages=MESSAGES, max_tokens=20, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert len("".join(c.choices[0].delta.content or "" for c in chunks[:-1]).split()) == 20
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 20


async def test_openai_errors(client):
    with pytest.raises(openai.NotFoundError, match="model nobody does not exist") as unknown:
        await client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nobody")
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model=5, messages=MESSAGES)
    assert bad.value.code == "invalid_request"
    with pytest.raises(openai.BadRequestError):  # what the engine refuses passes through
        await client.chat.completions.create(model="my-model", messages=MESSAGES, max_tokens=0)


# --- files


def replaced(file, text):
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.replace(file)


def pods(*engines):
    """A PodList without status, as somebody writes it by hand."""
    items = [
        {
            "kind": "Pod",
            "metadata": {
                "name": engine.name,
                "labels": {"model.aibrix.ai/name": "my-model", "model.aibrix.ai/port": str(engine.port)},
            },
        }
        for engine in engines
    ]
    return json.dumps({"apiVersion": "v1", "kind": "PodList", "items": items})


async def test_settings_are_read_again(serve, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("models: {my-model: {aliases: [first]}}")
    gateway = serve("--settings", str(file))

    async with httpx.AsyncClient(base_url=gateway.url) as http:

        async def knows(alias):
            return (await http.post(CHAT, json=chat(model=alias))).status_code == 200

        assert await knows("first")
        replaced(file, "models: {my-model: {aliases: [second]}}\nrouting: {attempts: 3}\nlog: {level: debug}")
        await eventually(lambda: knows("second"), "the new alias")
        assert not await knows("first")
        assert "settings: routing.attempts has changed and needs a restart" in gateway.messages
        replaced(file, "models: {my-model: {aliasses: [third]}}")
        gateway.said(r"models.my-model.aliasses: unknown key.*the last good version stays")
        assert await knows("second")


async def test_pods_are_read_again(run, engines, tmp_path):
    file = tmp_path / "pods.json"
    file.write_text(pods(engines[0]))
    gateway = run("--pods", str(file), kind=Gateway)

    async with httpx.AsyncClient(base_url=gateway.url) as http:

        async def answering():
            answers = [await http.post(CHAT, json=chat(), headers={"routing-strategy": "random"}) for _ in range(8)]
            assert {answer.status_code for answer in answers} == {200}
            return {answer.headers["target-pod"] for answer in answers}

        async def only(*names):
            return await answering() == set(names)

        assert await only("one")
        replaced(file, pods(*engines))
        await eventually(lambda: only("one", "two"), "both pods")
        replaced(file, pods(engines[1]))
        await eventually(lambda: only("two"), "the second pod alone")
        replaced(file, "{")
        gateway.said("pods.json: .*the last good version stays")
        assert await only("two")


async def test_pods_as_kubectl_prints_them(run):
    gateway = run("--pods", str(DATA / "pods-kubectl.yaml"), kind=Gateway)
    async with httpx.AsyncClient() as http:
        listed = (await http.get(f"{gateway.url}/v1/models")).json()["data"]
        status = (await http.get(f"{gateway.admin_url}/status.json")).json()
    assert {"sample-chat", "support-tone", "meta-llama/Llama-3.1-8B"} <= {model["id"] for model in listed}
    assert status["ready"]
    excluded = Counter(pod["excluded"] for model in status["models"].values() for pod in model["pods"])
    assert excluded[None] > 0
    assert excluded.keys() > {None, "not_ready", "terminating"}


# --- what stops the start


def test_a_taken_port_is_named(run, engines):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        gateway = run("serve", "--host", "127.0.0.1", "--port", port, "--admin-port", "0", engines[0].pod)
        assert gateway.ended() == 1
        admin = run("serve", "--host", "127.0.0.1", "--port", "0", "--admin-port", port, engines[0].pod)
        assert admin.ended() == 1
    assert "error: listen.port: cannot listen: " in gateway.output
    assert "address already in use" in gateway.output
    assert "error: listen.admin_port: cannot listen: " in admin.output
    assert "Traceback" not in gateway.output + admin.output


def test_every_fault_of_the_settings_is_told(run, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("listen: {port: eighty}\nroutng: {}\nmodels: {m: {endpoints: [not-a-url]}}")
    gateway = run("serve", "--settings", str(file))
    assert gateway.ended() == 1
    faults = gateway.output.splitlines()
    assert len(faults) == 3
    assert all(line.startswith("error: ") for line in faults)
    for path in ("listen.port", "routng", "models.m.endpoints[0]"):
        assert path in gateway.output


def test_a_missing_pod_file_is_told(run, tmp_path):
    gateway = run("serve", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--pods", str(tmp_path / "none"))
    assert gateway.ended() == 1
    assert "none: cannot be read: No such file" in gateway.output
    assert "Traceback" not in gateway.output


# --- TLS


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for 127.0.0.1 that signs itself, and of its key."""
    files = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    command = ["openssl", "req", "-x509", *kind, *subject, "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


def tls(certificate):
    return dict(zip(("AIBRIX_MW_LISTEN__TLS_CERT_FILE", "AIBRIX_MW_LISTEN__TLS_KEY_FILE"), certificate, strict=True))


async def test_tls(serve, certificate):
    gateway = serve(scheme="https", **tls(certificate))
    trust = ssl.create_default_context(cafile=certificate[0])
    async with httpx.AsyncClient(base_url=gateway.url, verify=trust) as http:
        answer = await http.post(CHAT, json=chat(stream=True))
        assert answer.status_code == 200
        assert answer.text.endswith("data: [DONE]\n\n")
        assert (await http.get(f"{gateway.admin_url}/readyz")).status_code == 200


def test_a_certificate_that_is_none(run, engines, certificate):
    swapped = tls(certificate[::-1])
    gateway = run("serve", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", engines[0].pod, **swapped)
    assert gateway.ended() == 1
    assert "error: listen.tls_cert_file: cannot be used with listen.tls_key_file" in gateway.output
