"""Two real engines and a gateway before them for the whole session, and a report of what was seen."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.otlp import Receiver, receiving
from tests.vllm.processes import SHORT_SECONDS, Engine, Gateway, eventually

REPORT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", metavar="DIR", help="a real vLLM and a model, as tests/vllm/install.py makes them")


class WithoutEngines(pytest.Module):
    """The tests when there is no vLLM to run them on: one that is skipped, with the reason."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("a real vLLM is needed: make test-vllm", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if parent.config.getoption("vllm", None) is not None:
        return None
    return WithoutEngines.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash.get(REPORT, {})
    if report:
        terminalreporter.section("real vLLM behind the gateway")
        width = max(map(len, report))
        for what, seen in report.items():
            terminalreporter.write_line(f"{what:<{width}}  {seen}")


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> dict[str, str]:
    """Figures to print at the end: what was looked at, and what was seen."""
    return pytestconfig.stash.setdefault(REPORT, {})


@pytest.fixture(scope="session")
def installation(pytestconfig: pytest.Config) -> Path:
    folder = Path(pytestconfig.getoption("vllm")).absolute()
    if not (folder / "venv" / "bin" / "vllm").exists() or not (folder / "model" / "config.json").exists():
        pytest.fail(f"no vLLM with a model in {folder}: python tests/vllm/install.py {folder}", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def collector() -> Iterator[Receiver]:
    """Where gateway and engines send their traces."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def both(
    installation: Path, tmp_path_factory: pytest.TempPathFactory, report: dict[str, str], collector: Receiver
) -> Iterator[list[Engine]]:
    folder = tmp_path_factory.mktemp("engines")
    traces = ("--otlp-traces-endpoint", f"{collector.url}/v1/traces")
    protocol = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    engines = [Engine(name, installation, folder, *traces, **protocol) for name in ("engine-a", "engine-b")]
    try:
        for engine in engines:
            engine.start()
        seconds = [engine.wait_ready(f"{engine.url}/health") for engine in engines]
        report["two engines at once, ready after"] = f"{sum(seconds):.1f} s"
        yield engines
    finally:
        for engine in engines:
            engine.kill()


@pytest.fixture
def engines(both: list[Engine]) -> list[Engine]:
    """Both engines, alive."""
    dead = [engine for engine in both if not engine.alive]
    for engine in dead:
        engine.start()
    for engine in dead:
        engine.wait_ready(f"{engine.url}/health")
    return both


@pytest.fixture(scope="session")
def gateway(
    both: list[Engine], tmp_path_factory: pytest.TempPathFactory, report: dict[str, str], collector: Receiver
) -> Iterator[Gateway]:
    exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    gateway = Gateway(both, tmp_path_factory.mktemp("gateway"), **exporter)
    try:
        gateway.start()
        seconds = gateway.wait_ready(f"{gateway.admin_url}/readyz")
        report["gateway, ready after"] = f"{seconds:.1f} s"
        yield gateway
        assert gateway.terminate() == 0, gateway.tail()
    finally:
        gateway.kill()


@pytest.fixture(autouse=True)
async def all_over(gateway: Gateway) -> AsyncIterator[None]:
    """Whatever a test does to a request: when its client is done, the gateway holds no pod for it any more."""

    async def none_in_flight() -> bool:
        return await gateway.metric("aibrix_gateway_in_flight_requests") == 0

    yield
    await eventually(none_in_flight, "no request is in flight", seconds=5)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The openai library; it repeats nothing by itself."""
    settings: dict[str, Any] = {
        "base_url": f"{gateway.url}/v1",
        "api_key": "none",
        "max_retries": 0,
        "timeout": SHORT_SECONDS,
    }
    async with openai.AsyncOpenAI(**settings) as client:
        yield client


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=SHORT_SECONDS) as http:
        yield http


@pytest.fixture
async def direct(engines: list[Engine]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one engine, past the gateway."""
    async with httpx.AsyncClient(base_url=engines[0].url, timeout=SHORT_SECONDS) as http:
        yield http
