"""Engines for the whole session, processes that end with the test."""

import pytest

from tests.e2e.support import Engine, Gateway, Process


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    """Two simulated engines as processes, each with an adapter."""
    folder = tmp_path_factory.mktemp("engines")
    started = []
    try:
        for name in ("one", "two"):
            started.append(Engine(folder, name, "--adapter", "my-adapter", "--decode-tokens-per-second", "500"))
        yield started
    finally:
        for engine in started:
            engine.end()


@pytest.fixture
def run(tmp_path):
    """Start `python -m aibrix_mw ARGUMENTS`; `kind` is the class that knows how to wait for it."""
    started = []

    def run(*arguments, kind=Process, **options):
        process = kind.__new__(kind)
        started.append(process)
        process.__init__(tmp_path, *arguments, **options)
        return process

    yield run
    for process in started:
        process.end()


@pytest.fixture
def serve(run, engines):
    """Start a gateway in front of the engines."""

    def serve(*arguments, **variables):
        return run(*(engine.pod for engine in engines), *arguments, kind=Gateway, **variables)

    return serve
