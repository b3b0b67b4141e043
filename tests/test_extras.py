"""Parts that need an extra of the package."""

import sys

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError

ON = {"discovery": {"kubernetes": {"enabled": True, "kubeconfig": "/no/such/file"}}}


def test_kubernetes_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "aibrix_mw.pods.kubernetes.discovery", None)
    with pytest.raises(ConfigurationError, match=r"discovery\.kubernetes\.enabled: needs the kubernetes package: pip"):
        create_app(ON)
    create_app({})


async def test_a_kubeconfig_that_is_not_there():
    app = create_app(ON)
    assert app.discovery.kubernetes is not None
    assert app.discovery.kubernetes.not_ready() == "waiting for the first list of pods"
    with pytest.raises(ConfigurationError, match=r"discovery\.kubernetes\.kubeconfig: /no/such/file: No such file"):
        async with app.running():
            pass
