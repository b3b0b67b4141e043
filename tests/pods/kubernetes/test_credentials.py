"""Where the API server is, and who the gateway is there."""

import pytest
import yaml

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.kubernetes import credentials
from aibrix_mw.pods.kubernetes.credentials import load_credentials
from aibrix_mw.settings import KubernetesSettings
from tests.pods.kubernetes.envtest import write_kubeconfig


@pytest.fixture(autouse=True)
def outside(monkeypatch, tmp_path):
    """Not in a pod, and nobody's home."""
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file(tmp_path):
    return write_kubeconfig(tmp_path / "config", {"server": "http://127.0.0.1:7"})


async def load(**settings):
    configuration, namespace = await load_credentials(KubernetesSettings(**settings))
    return configuration.host, configuration.api_key.get("BearerToken"), namespace


async def reason(**settings):
    with pytest.raises(ConfigurationError) as raised:
        await load_credentials(KubernetesSettings(**settings))
    (fault,) = raised.value.faults
    return str(fault)


async def test_a_file(file):
    assert await load(kubeconfig=str(file)) == ("http://127.0.0.1:7", "Bearer admin-token", "default")


async def test_a_context_and_its_namespace(file):
    document = yaml.safe_load(file.read_text())
    document["contexts"][1]["context"]["namespace"] = "models"
    file.write_text(yaml.safe_dump(document))
    found = await load(kubeconfig=str(file), context="gateway")
    assert found == ("http://127.0.0.1:7", "Bearer gateway-token", "models")


async def test_the_usual_files(file, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{file}")
    assert (await load())[0] == "http://127.0.0.1:7"
    monkeypatch.delenv("KUBECONFIG")
    (tmp_path / ".kube").mkdir()
    write_kubeconfig(tmp_path / ".kube" / "config", {"server": "http://127.0.0.1:8"})
    assert (await load())[0] == "http://127.0.0.1:8"


async def test_nothing_anywhere(tmp_path):
    file = tmp_path / ".kube" / "config"
    expected = f"discovery.kubernetes.kubeconfig: {file}: No such file or directory (and this is no pod of a cluster)"
    assert await reason() == expected
    assert await reason(kubeconfig="/none") == "discovery.kubernetes.kubeconfig: /none: No such file or directory"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: [", "not YAML: line 2"),
        (b"\xff\xfe", "is not text"),
        (b"kind: Config", "Expected key current-context in"),
        (b"current-context: x\ncontexts: 5", ""),
        (b"", ""),
    ],
)
async def test_files_that_are_none(tmp_path, text, expected):
    file = tmp_path / "broken"
    file.write_bytes(text)
    said = await reason(kubeconfig=str(file))
    assert said.startswith(f"discovery.kubernetes.kubeconfig: {file}: ")
    assert expected in said


async def test_a_context_that_is_none(file):
    assert "Expected object with name nobody in" in await reason(kubeconfig=str(file), context="nobody")


# --- in a pod


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """The files of a service account."""
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(credentials, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(credentials, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


async def test_in_cluster_comes_first(pod, file, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert await load() == ("https://[fd00::1]:443", "bearer token", "default")
    (pod / "namespace").write_text("models\n")
    assert (await load())[2] == "models"


async def test_a_kubeconfig_that_is_asked_for_wins(pod, file, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert (await load(kubeconfig=str(file)))[0] == "http://127.0.0.1:7"
    assert (await load(context="gateway"))[1] == "Bearer gateway-token"


async def test_a_service_account_that_is_broken(pod):
    (pod / "ca.crt").write_text("")
    assert await reason() == "discovery.kubernetes: in-cluster configuration: Cert file exists but empty."
