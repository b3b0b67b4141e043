"""A fleet under traffic: an API server, engines, a store, two gateways, and Prometheus that scrapes all of it."""

import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx

from aibrix_mw.dashboards import ALERTS_FILE, files
from tests.dashboards.prometheus import Prometheus, target
from tests.e2e.support import CHAT, Engine, Gateway, chat, eventually
from tests.pods.kubernetes.cluster import Cluster
from tests.pods.kubernetes.envtest import write_kubeconfig
from tests.ports import free_port
from tests.valkey import start_valkey

ROOT = Path(__file__).parents[2]
CONFIG = {
    "requestsPerSecond": 500,
    "profiles": {"default": {"requestsPerSecond": 400}, "tight": {"requestsPerSecond": 1}},
}
USAGE = {"stream_options": {"include_usage": True}}
LONG = chat(messages=[{"role": "user", "content": "tell me all of it again, " * 100}])
STRATEGIES = ("least-request", "random", "prefix-cache", "least-kv-cache", "least-request:2,session-affinity:1")

Running = TypeVar("Running", Engine, Gateway)


class Stage:
    """Everything that runs; `prometheus` is to be asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = ExitStack()
        try:
            self._start()
            asyncio.run(self._play())
        except BaseException:
            self.parts.close()
            raise

    def _start(self) -> None:
        self.kubeconfig = self._api_server()
        self.store = start_valkey()
        self.parts.callback(self.store.stop)
        self.engines = [self._engine(name) for name in ("one", "two", "three")]

    def _api_server(self) -> Path:
        port = free_port()
        command = [sys.executable, "-m", "tests.pods.kubernetes.apiserver", str(port)]
        log = self.parts.enter_context((self.folder / "apiserver.log").open("wb"))
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        self.parts.callback(child.wait, 10)
        self.parts.callback(child.kill)
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=30)) as http:
            http.post(f"{url}/control", json={})
        return write_kubeconfig(self.folder / "kubeconfig", {"server": url})

    def _engine(self, name: str) -> Engine:
        models = [word for model in ("broken", "split", "halved") for word in ("--model", model)]
        return self._run(Engine, name, *models, "--decode-tokens-per-second", "500")

    def _gateway(self, namespace: str) -> Gateway:
        settings = self.folder / "settings.yaml"
        settings.write_text(json.dumps({"routing": {"client_headers": ["config-profile", "routing-strategy"]}}))
        return self._run(
            Gateway,
            *("--settings", str(settings)),
            *("--kubernetes", "--kubeconfig", str(self.kubeconfig), "--namespace", namespace),
            *("--redis-url", self.store.connection_url),
        )

    def _run(self, kind: type[Running], *arguments: str) -> Running:
        """Start a process that ends with the stage, also where it does not come up."""
        process = kind.__new__(kind)
        self.parts.callback(process.end)
        process.__init__(self.folder, *arguments)  # type: ignore[misc]
        return process

    # --- what happens

    async def _play(self) -> None:
        async with Cluster(self.kubeconfig, self.folder) as cluster:
            await self._deploy(cluster)
            self.gateways = [self._gateway(cluster.namespace) for _ in range(2)]
            self.prometheus = self._prometheus(cluster.namespace)
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(httpx.AsyncClient(base_url=gateway.url, timeout=20))
                    for gateway in self.gateways
                ]
                for http in clients:
                    await eventually(lambda http=http: _is_ready(http), "ready", 60)
                await self._scraped(1)
                for _ in range(2):  # a rate needs a second sample of each series
                    await self._traffic(clients)
                    await self._churn(cluster)
                    await asyncio.gather(self._scraped(2), self._busy(clients[0]))
                await self._traffic(clients)
                await self._scraped(1)
            cluster.pods.clear()  # they stay for as long as Prometheus is asked

    async def _deploy(self, cluster: Cluster) -> None:
        one, two, three = (str(engine.port) for engine in self.engines)
        annotation = {"model.aibrix.ai/config": json.dumps(CONFIG)}
        await cluster.pod("one", "my-model", port=one, annotations=annotation)
        await cluster.pod("two", "my-model", port=two, annotations=annotation)
        await cluster.pod("sick", "my-model", port=two, ready=False)
        await cluster.pod("odd", "my-model", port=two, annotations={"model.aibrix.ai/config": "{}"})
        await cluster.pod("three", "broken", port=three)
        await cluster.pod("nobody", "empty", ready=False)
        await cluster.pod("dead", "dead", port=str(free_port()), annotations=annotation)
        await self._roles(cluster, "split", (one, two), {"model.aibrix.ai/engine": "sglang"})
        await self._roles(cluster, "halved", (str(free_port()), two), {})
        async with httpx.AsyncClient(base_url=self.engines[2].url) as http:
            (await http.post("/sim/faults", json={"mode": "die", "after_chunks": 2})).raise_for_status()

    async def _roles(self, cluster: Cluster, model: str, ports: tuple[str, str], extra: dict[str, str]) -> None:
        """A model in two parts; with an engine whose both legs start at once, nothing needs to be handed over."""
        for role, port in zip(("prefill", "decode"), ports, strict=True):
            labels = {"role-name": role, "roleset-name": model, **extra}
            annotation = {"model.aibrix.ai/config": json.dumps({"profiles": {"default": {"routingStrategy": "pd"}}})}
            await cluster.pod(f"{model}-{role}", model, port=port, labels=labels, annotations=annotation)

    def _prometheus(self, namespace: str) -> Prometheus:
        gateways = [
            target(
                gateway.admin_url, namespace="serving", pod=f"gateway-{at}", service="aibrix-mw", container="gateway"
            )
            for at, gateway in enumerate(self.gateways)
        ]
        engines = [target(engine.url, namespace=namespace, pod=engine.name) for engine in self.engines]
        prometheus = Prometheus(self.folder, {"aibrix-mw": gateways, "engines": engines}, files()[ALERTS_FILE])
        self.parts.callback(prometheus.end)
        return prometheus

    async def _scraped(self, times: int) -> None:
        """Wait until every target has been scraped so many times more."""
        expr = "min(count_over_time(up[5m]))"
        asked = self.prometheus
        await asyncio.to_thread(asked.until, lambda: asked.query(expr), "targets are known")
        wanted = float(asked.query(expr)[0]["value"][1]) + times
        await asyncio.to_thread(
            asked.until, lambda: float(asked.query(expr)[0]["value"][1]) >= wanted, "scraped once more"
        )

    async def _traffic(self, clients: list[httpx.AsyncClient]) -> None:
        await asyncio.gather(*(self._mix(http) for http in clients))

    async def _mix(self, http: httpx.AsyncClient) -> None:
        """One of each: answered, streamed, refused by limits, unknown, without pods, broken off, left."""
        asked = [http.post(CHAT, json=chat(), headers={"routing-strategy": name}) for name in STRATEGIES * 3]
        asked += [http.post(CHAT, json=chat(stream=True, **USAGE)) for _ in range(4)]
        asked += [http.post(CHAT, json=chat(), headers={"config-profile": "tight"}) for _ in range(5)]
        asked.append(http.post(CHAT, json=chat(), headers={"external-filter": "nobody=listens"}))
        asked += [http.post(CHAT, json=LONG, headers={"routing-strategy": "prefix-cache"}) for _ in range(3)]
        asked += [http.post(CHAT, json=chat(model=name)) for name in ("nobody's", "empty", "dead", "split", "halved")]
        await asyncio.gather(*asked)
        await asyncio.gather(self._broken_off(http), self._left(http))

    async def _busy(self, http: httpx.AsyncClient) -> None:
        """Requests that are in flight while Prometheus looks."""
        long = chat(stream=True, max_tokens=600)
        await asyncio.gather(*(http.post(CHAT, json=long) for _ in range(3)))

    async def _broken_off(self, http: httpx.AsyncClient) -> None:
        try:
            await http.post(CHAT, json=chat(model="broken", stream=True, max_tokens=40))
        except httpx.RemoteProtocolError:
            return
        raise AssertionError("an answer that an engine broke off looks complete")

    async def _left(self, http: httpx.AsyncClient) -> None:
        async with http.stream("POST", CHAT, json=chat(stream=True, max_tokens=2000)) as answer:
            async for _ in answer.aiter_bytes():
                break

    async def _churn(self, cluster: Cluster) -> None:
        """Readiness that goes and comes."""
        for ready in (False, True):
            await cluster.set_ready("three", ready)
            await asyncio.sleep(0.1)  # the gateways hear of both, or they are one change

    def end(self) -> None:
        self.parts.close()


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


def numbers(samples: list[dict[str, Any]]) -> list[float]:
    """Values of samples."""
    return [float(sample["value"][1]) for sample in samples]
