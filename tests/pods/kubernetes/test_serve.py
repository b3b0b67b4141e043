"""`aibrix-mw serve --kubernetes` as a process."""

import time

import httpx
import pytest

from tests.e2e.support import CHAT, Engine, Gateway, Process, chat, eventually, readiness


@pytest.fixture
def run(tmp_path):
    """Start `aibrix-mw serve` on free ports; `kind` is the class that knows how to wait for it."""
    started = []

    def run(*arguments, kind=Gateway, **variables):
        process = kind.__new__(kind)
        started.append(process)
        process.__init__(tmp_path, *arguments, **variables)
        return process

    yield run
    for process in started:
        process.end()


async def test_from_start_to_ready(run, cluster, figure):
    engine = run("one", kind=Engine)
    await cluster.pod("one", "my-model", port=str(engine.port))
    begun = time.monotonic()
    gateway = run("--kubernetes", "--kubeconfig", cluster.through_wire(), "--namespace", cluster.namespace)
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        await eventually(lambda: _is_ready(http), "ready")
        figure(f"{time.monotonic() - begun:.2f} s from start to ready")
        answer = await http.post(CHAT, json=chat())
        assert (answer.status_code, answer.headers["target-pod"]) == (200, "one")
        assert (await http.post(CHAT, json=chat(model="nobody's"))).status_code == 404


async def _is_ready(http):
    return await readiness(http) == 200


async def test_not_ready_without_an_api_server(run, small_cluster):
    small_cluster.wire.away()
    gateway = run("--kubernetes", "--kubeconfig", small_cluster.through_wire())
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        assert await readiness(http) == 503
        answer = await http.post(CHAT, json=chat())
        assert (answer.status_code, answer.json()["error"]["message"]) == (503, "the pods are not known yet")
        await eventually(lambda: _says(http, "cannot be reached"), "the reason")


async def _says(http, text):
    return text in (await http.get("/readyz")).json()["status"]


def test_a_kubeconfig_that_is_not_there(run):
    gateway = run(
        "serve", "--port", "0", "--admin-port", "0", "--kubernetes", "--kubeconfig", "/no/such/file", kind=Process
    )
    assert gateway.ended() == 1
    assert "error: discovery.kubernetes.kubeconfig: /no/such/file: No such file or directory" in gateway.output
    assert "Traceback" not in gateway.output


def test_without_it_the_package_is_not_imported(run):
    gateway = run("--pod=m=http://127.0.0.1:1", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in gateway.output.splitlines() if line.startswith("import")}
    assert "aibrix_mw.pods.static" in imported
    assert imported.isdisjoint({"kubernetes", "aiohttp", "aibrix_mw.pods.kubernetes"})
