"""One middleware alone loads only what it needs."""

import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "click",
    "fastapi",
    "httpx",
    "httptools",
    "kubernetes",
    "limits",
    "openai",
    "opentelemetry",
    "prometheus_client",
    "redis",
    "valkey",
    "uvicorn",
    "uvloop",
}
NEEDS = {
    "aibrix_mw.middleware.access_log": set(),
    "aibrix_mw.middleware.auth": set(),
    "aibrix_mw.middleware.gate": set(),
    "aibrix_mw.middleware.metrics": {"prometheus_client"},
    "aibrix_mw.middleware.model": set(),
    "aibrix_mw.middleware.plan": set(),
    "aibrix_mw.middleware.profile": set(),
    "aibrix_mw.middleware.ratelimit": set(),
    "aibrix_mw.middleware.request_id": set(),
    "aibrix_mw.middleware.routing": set(),
    "aibrix_mw.middleware.spans": set(),
    "aibrix_mw.middleware.tracing": {"opentelemetry"},
    "aibrix_mw.parts.observing": set(),
    "aibrix_mw.middleware.strict_http": set(),
    "aibrix_mw.pods.kubernetes.namespaces": set(),
    "aibrix_mw.middleware.userlimit": set(),
    "aibrix_mw.pods.static": set(),
    "aibrix_mw.proxy": set(),
    "aibrix_mw.strategies.catalogue": set(),
    "aibrix_mw.app": {"httptools"},
}


def loaded_by(module):
    """What an interpreter has loaded after importing one module, beyond what it loads anyway."""
    script = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("module", NEEDS)
def test_nothing_heavy_but_what_it_needs(module):
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded & HEAVY == NEEDS[module]


def test_the_package_itself_loads_nothing():
    assert loaded_by("aibrix_mw") == {"aibrix_mw"}


def test_middlewares_do_not_load_each_other():
    loaded = loaded_by("aibrix_mw.middleware.routing")
    assert {name for name in loaded if name.startswith("aibrix_mw.middleware.")} == {"aibrix_mw.middleware.routing"}
    assert "aibrix_mw.settings" not in loaded
