"""What the tests of the chart may rely on."""

import pytest


def pytest_addoption(parser):
    """`pytest tests/chart --kubeconfig FILE`: a cluster in which the tests may install and remove releases."""
    parser.addoption("--kubeconfig", help="kubeconfig of a cluster for the tests of the chart")


@pytest.fixture(scope="session")
def kubeconfig(pytestconfig):
    """The kubeconfig of the cluster; tests that want one are skipped without."""
    given = pytestconfig.getoption("--kubeconfig", default=None)
    if given is None:
        pytest.skip("needs a cluster: pytest tests/chart --kubeconfig FILE")
    return given
