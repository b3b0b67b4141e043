"""The API server through the official client."""

import socket
from contextlib import suppress
from typing import Any

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.kubernetes.answers import Away, Refused
from aibrix_mw.pods.kubernetes.client import ApiServer, _kept_alive
from aibrix_mw.settings import KubernetesSettings


@pytest.fixture
async def api(cluster):
    made = ApiServer(KubernetesSettings(kubeconfig=cluster.through_wire()))
    await made.connect()
    yield made
    await made.aclose()


async def test_a_page_and_a_watch(api, cluster):
    await cluster.pod("one")
    raw = await api.get(cluster.namespace, [("limit", "5")], idle=5)
    assert b'"kind":"PodList"' in raw
    query = [("watch", "true"), ("timeoutSeconds", "1")]
    async with api.watch(cluster.namespace, query, idle=5) as chunks:
        received = b"".join([chunk async for chunk in chunks])
    assert received == b"" or received.endswith(b"\n")


async def test_no_answer(api, cluster):
    cluster.wire.flowing.clear()
    with pytest.raises(Away, match="the API server cannot be reached"):
        await api.get(cluster.namespace, [], idle=0.05)
    cluster.wire.flowing.set()


async def test_nobody_listens(api, cluster):
    cluster.wire.away()
    with pytest.raises(Away, match=r"cannot be reached: .*onnect"):
        await api.get(cluster.namespace, [], idle=5)


async def test_before_it_is_connected():
    unopened = ApiServer(KubernetesSettings())
    await unopened.aclose()
    with pytest.raises(AssertionError, match="connect"):
        await unopened.get(None, [], idle=1)


async def test_a_token_that_cannot_be_read(small_cluster):
    api: Any = ApiServer(KubernetesSettings(kubeconfig=small_cluster.through_wire()))
    await api.connect()

    def broken(_configuration):
        raise FileNotFoundError("token")

    api._client.configuration.refresh_api_key_hook = broken
    with pytest.raises(Refused, match="credentials cannot be read: token"):
        await api.get(small_cluster.namespace, [], idle=5)
    await api.refresh()
    assert await api.get(small_cluster.namespace, [], idle=5)
    await api.aclose()


def test_dead_peers_are_noticed():
    with _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ())) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        assert [made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options] == [10, 10, 3]


@pytest.mark.parametrize("starts", [True, False])
async def test_connections_are_closed_however_a_gateway_ends(small_cluster, monkeypatch, starts):
    """When it stops before discovery has had its first turn, and when it does not come to that."""
    kubernetes = {"enabled": True, "kubeconfig": small_cluster.through_wire(), "namespaces": [small_cluster.namespace]}
    gateway = create_app({"discovery": {"kubernetes": kubernetes}})
    api: Any = gateway.discovery.kubernetes.api

    async def start():
        await api.get(small_cluster.namespace, [], idle=5)
        if not starts:
            raise ConfigurationError([Fault("store", "broken")])

    monkeypatch.setattr(gateway.counting, "start", start)
    with suppress(ConfigurationError):
        async with gateway.running():
            assert not api._client.rest_client.pool_manager.closed
    assert api._client.rest_client.pool_manager.closed
