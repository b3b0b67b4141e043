"""API servers for the whole session: a small one of ours, and a real one that the environment or an option names."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.pods.kubernetes.cluster import Cluster, is_gone
from tests.pods.kubernetes.discovering import Discovering
from tests.pods.kubernetes.envtest import RealApiServer, assets, write_kubeconfig
from tests.ports import free_port
from tests.support import until

FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outage", type=float, default=3.0, help="seconds that the API server is away in a test")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(FIGURES, ()):
        terminalreporter.write_line(f"discovery: {line}")


@pytest.fixture
def figure(request):
    """Have a measured figure printed at the end."""
    lines = request.config.stash.setdefault(FIGURES, [])
    return lambda text: lines.append(f"{request.node.name}: {text}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kubeconfig" in metafunc.fixturenames:
        given = metafunc.config.getoption("kubeconfig", None)
        kinds = ["given"] if given else ["small", "real"] if assets() else ["small"]
        metafunc.parametrize("kubeconfig", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Kubeconfig and URL of an API server of ours, as a process."""
    folder = tmp_path_factory.mktemp("small")
    port = free_port()
    log = (folder / "log").open("wb")
    command = [sys.executable, "-m", "tests.pods.kubernetes.apiserver", str(port)]
    child = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=30)) as http:
            http.post(f"{url}/control", json={})
        yield write_kubeconfig(folder / "kubeconfig", {"server": url}), url
    finally:
        child.kill()
        child.wait(10)
        log.close()


@pytest.fixture(scope="session")
def kubeconfig(request, tmp_path_factory):
    """The API server that a test runs against."""
    if request.param == "given":
        yield Path(request.config.getoption("kubeconfig"))
    elif request.param == "small":
        yield request.getfixturevalue("small")[0]
    else:
        real = RealApiServer(assets(), tmp_path_factory.mktemp("real"))
        yield real.kubeconfig
        real.stop()


@pytest.fixture
async def cluster(kubeconfig, tmp_path):
    """The administrator's view, with a namespace of its own."""
    async with Cluster(kubeconfig, tmp_path) as made:
        yield made


@pytest.fixture
async def forgetful(cluster):
    """A cluster whose API server no longer keeps version 1; a young one that somebody gave may still do."""
    if not await is_gone(cluster, "1"):
        pytest.skip("this API server still keeps version 1")
    return cluster


@pytest.fixture
async def small_cluster(small, tmp_path):
    """The same, always on the API server of ours: `control` makes it do what no client can."""
    async with Cluster(small[0], tmp_path) as made, httpx.AsyncClient() as http:

        async def control(**order):
            return (await http.post(f"{small[1]}/control", json=order)).json()

        made.control = control
        yield made


@pytest.fixture
async def discover(request):
    """Start discovery of a cluster into a registry, and wait until it is in step."""
    started = []

    async def discover(cluster, *, wait=True, **options):
        discovering = Discovering(cluster, **options)
        started.append(discovering)
        await discovering.start()
        if wait:
            await until(lambda: discovering.pods.not_ready() is None)
        return discovering

    yield discover
    for discovering in started:
        await discovering.stop()
