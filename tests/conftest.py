"""What every test may rely on."""

import logging

import pytest
from hypothesis import settings

from tests.valkey import start_valkey

# two cores, shared: a deadline would measure the neighbours
settings.register_profile("tests", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("tests")


@pytest.fixture
def log(caplog):
    """Lines that the gateway has logged."""
    caplog.set_level(logging.DEBUG, "aibrix_mw")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "aibrix_mw"]


@pytest.fixture
def own_logging():
    """Loggers as a fresh process has them, whoever has set them up before; afterwards they are as they were."""
    loggers = [
        logging.getLogger(name)
        for name in (None, "aibrix_mw", "aibrix_mw.access", "uvicorn", "uvicorn.error", "python_multipart")
    ]
    before = [(known, known.level, known.propagate, known.handlers[:], known.filters[:]) for known in loggers]
    for known in loggers[1:]:
        known.setLevel(logging.NOTSET)
        known.propagate, known.handlers, known.filters = True, [], []
    yield
    for known, level, propagate, handlers, filters in before:
        known.setLevel(level)
        known.propagate, known.handlers, known.filters = propagate, handlers, filters


def pytest_addoption(parser):
    """`pytest tests/chart --kubeconfig FILE` may install and remove releases there; `tests/pods` only pods."""
    parser.addoption("--kubeconfig", metavar="FILE", help="run the tests of chart or discovery against this API server")


@pytest.fixture(scope="session")
def valkey_url():
    """The URL of a Valkey that tests empty before they use it."""
    server = start_valkey()
    yield server.connection_url
    server.stop()


@pytest.fixture
def servers():
    """Starts servers of the Redis protocol: each on a port that nobody else has, or on that of one that was stopped."""
    started = []

    def start(port=None):
        server = start_valkey(port)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.is_running():
            server.stop()


@pytest.fixture
def server(servers):
    """One server of the Redis protocol."""
    return servers()


@pytest.fixture
async def client(server):
    """An asynchronous client of `server`."""
    from redis.asyncio import Redis

    connected = Redis.from_url(server.connection_url)
    yield connected
    await connected.aclose()
