"""What the tests of the chart may rely on."""

import pytest


@pytest.fixture(scope="session")
def kubeconfig(pytestconfig):
    """The kubeconfig of the cluster; tests that want one are skipped without."""
    given = pytestconfig.getoption("--kubeconfig", default=None)
    if given is None:
        pytest.skip("needs a cluster: pytest tests/chart --kubeconfig FILE")
    return given
