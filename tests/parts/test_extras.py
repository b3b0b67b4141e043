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


def test_which_headers_clients_send_in_vain():
    """The settings say it, and the metrics count it."""
    from starlette.testclient import TestClient

    settings = {
        "models": {"m": {"endpoints": ["http://127.0.0.1:1"]}},
        "routing": {"client_headers": ["config-profile"]},
    }
    app = create_app(settings)
    sent = {"config-profile": "x", "routing-strategy": "random", "external-filter": "a=b"}
    with TestClient(app) as client:
        assert client.post("/v1/completions", json={"model": "m"}, headers=sent).status_code == 502
    text = TestClient(app.admin).get("/metrics").text
    counted = [line for line in text.splitlines() if line.startswith("aibrix_gateway_ignored_headers_total")]
    assert counted == [
        f'aibrix_gateway_ignored_headers_total{{header="{name}"}} 1.0'
        for name in ("routing-strategy", "external-filter")
    ]
