"""Settings, Secrets, roles: what the gateway knows and may do."""

import pytest

from aibrix_mw.settings.rules import RELOADABLE
from tests.chart.checks import pod, settings_of
from tests.chart.pieces import KEYS, NGINX, OPEN, VALKEY, gateway, merged, settings
from tests.chart.rendering import find, one, render

NAME = "gw-aibrix-mw"
READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
EVENTS = {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}


def checksum(values):
    template = one(render(values), "Deployment", NAME)["spec"]["template"]
    return template["metadata"]["annotations"]["aibrix-mw/settings-checksum"]


# -- settings


def test_settings_are_handed_on_whole():
    own = {
        "routing": {"default_strategy": "prefix-cache", "attempts": 3, "expose_target": False},
        "upstream": {"first_byte_timeout": 12.5},
        "models": {"meta-llama/Llama-3.1-8B": {"aliases": ["gpt-4o"], "endpoints": ["http://10.0.0.7:8000"]}},
        "limits": {"max_body_bytes": 67108864},
    }
    found = settings_of(render(settings(**own)))
    assert found["routing"] == own["routing"]
    assert found["upstream"] == own["upstream"]
    assert found["models"] == own["models"]
    assert found["limits"]["max_body_bytes"] == 67108864
    assert isinstance(found["limits"]["max_body_bytes"], int)


def test_admin_port_listens_where_probes_come_from():
    assert settings_of(render())["listen"]["admin_host"] is None
    assert settings_of(render(settings(listen={"admin_host": "::"})))["listen"]["admin_host"] == "::"


def test_settings_are_mounted_as_a_folder_so_that_changes_arrive():
    spec = pod(render(), "Deployment", NAME)
    (mount,) = [item for item in spec["containers"][0]["volumeMounts"] if item["name"] == "settings"]
    assert "subPath" not in mount
    assert spec["containers"][0]["args"] == ["serve", "--settings", mount["mountPath"] + "/settings.yaml"]
    assert one(render(), "ConfigMap", f"{NAME}-settings")


def test_reloadable_settings_are_those_of_the_package():
    assert RELOADABLE == ("models", "users", "log.level")


@pytest.mark.parametrize(
    "change",
    [
        settings(models={"m": {"endpoints": ["http://m:8000"]}}),
        settings(users={"records": {"ann": {"rpm": 1}}}),
        settings(users={"trust_header": False}),
        settings(log={"level": "debug"}),
    ],
    ids=str,
)
def test_what_applies_at_once_rolls_nothing(change):
    one_replica = gateway(replicas=1)
    assert checksum(merged(one_replica, change)) == checksum(one_replica)
    assert settings_of(render(merged(one_replica, change))) != settings_of(render(one_replica))


@pytest.mark.parametrize(
    "change",
    [
        settings(routing={"attempts": 3}),
        settings(log={"format": "text"}),
        settings(log={"level": "debug", "format": "text"}),
        settings(listen={"keep_alive": 10}),
        VALKEY,
        KEYS,
        merged(NGINX, OPEN),
        gateway(watchAllNamespaces=True),
    ],
    ids=str,
)
def test_what_needs_a_restart_rolls_the_pods(change):
    assert checksum(change) != checksum({})


@pytest.mark.parametrize(
    "exposure",
    [
        {"ingress": {"enabled": True}},
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}},
        {"service": {"type": "LoadBalancer"}},
        {"service": {"type": "NodePort"}},
    ],
    ids=str,
)
def test_less_is_told_and_believed_when_clients_come_from_outside(exposure):
    found = settings_of(render(merged(exposure, OPEN)))
    assert found["routing"] == {"expose_target": False, "client_headers": ["config-profile"]}
    assert found["users"] == {"trust_header": False}
    own = settings(routing={"expose_target": True, "client_headers": []}, users={"trust_header": True})
    found = settings_of(render(merged(exposure, OPEN, own)))
    assert found["routing"] == {"expose_target": True, "client_headers": []}
    assert found["users"] == {"trust_header": True}


def test_inside_the_cluster_nothing_is_taken_back():
    assert not {"routing", "users"} & settings_of(render()).keys()


# -- secrets


@pytest.mark.parametrize(
    ("secret", "section", "setting", "key"),
    [
        ("clientKeys", "auth", "keys_file", "keys.yaml"),
        ("engineKey", "auth", "engine_key_file", "key"),
        ("storePassword", "store", "password_file", "password"),
        ("storeCA", "store", "ca_file", "ca.crt"),
        ("sessionKey", "routing", "session_key_file", "key"),
    ],
)
def test_a_secret_is_a_file_and_the_setting_names_it(secret, section, setting, key):
    values = merged({"secrets": {secret: {"name": "given"}}}, settings(store={"url": "rediss://redis:6379"}))
    objects = render(values)
    path = settings_of(objects)[section][setting]
    spec = pod(objects, "Deployment", NAME)
    (volume,) = [volume["projected"] for volume in spec["volumes"] if volume["name"] == "secrets"]
    (mount,) = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "secrets"]
    (source,) = volume["sources"]
    assert source["secret"]["name"] == "given"
    assert source["secret"]["items"] == [{"key": key, "path": path.removeprefix(mount["mountPath"] + "/")}]
    assert volume["defaultMode"] == 0o440
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    assert "Secret" not in {item["kind"] for item in objects}


def test_certificate():
    objects = render({"secrets": {"tls": {"name": "cert"}}})
    listen = settings_of(objects)["listen"]
    assert (listen["tls_cert_file"], listen["tls_key_file"]) == (
        "/etc/aibrix-mw/secrets/tls.crt",
        "/etc/aibrix-mw/secrets/tls.key",
    )
    assert one(objects, "Service", NAME)["spec"]["ports"][0]["appProtocol"] == "https"


# -- what it may do


def test_roles_in_the_release_s_namespace():
    objects = render()
    role = one(objects, "Role")
    assert (role["metadata"]["namespace"], role["rules"]) == ("llm", [READ])
    binding = one(objects, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "llm"}]
    assert pod(objects, "Deployment", NAME)["serviceAccountName"] == account
    assert find(objects, "ClusterRole") == []


def test_roles_in_each_namespace():
    objects = render(settings(discovery={"kubernetes": {"namespaces": ["a", "b", "a"]}}))
    assert [item["metadata"]["namespace"] for item in find(objects, "Role")] == ["a", "b"]
    assert [item["subjects"][0]["namespace"] for item in find(objects, "RoleBinding")] == ["llm", "llm"]


def test_cluster_role_only_for_all_namespaces():
    objects = render(gateway(watchAllNamespaces=True))
    role = one(objects, "ClusterRole")
    assert role["rules"] == [READ]
    assert one(objects, "ClusterRoleBinding")["roleRef"]["name"] == role["metadata"]["name"]
    assert find(objects, "Role") == []
    assert settings_of(objects)["discovery"]["kubernetes"]["all_namespaces"] is True
    elsewhere = one(render(gateway(watchAllNamespaces=True), namespace="other"), "ClusterRole")
    assert elsewhere["metadata"]["name"] != role["metadata"]["name"]


def test_events_only_where_they_are_written():
    assert one(render(settings(discovery={"kubernetes": {"emit_events": True}})), "Role")["rules"] == [READ, EVENTS]


def test_no_rights_without_discovery_or_rbac():
    for values in (settings(discovery={"kubernetes": {"enabled": False}}), {"rbac": {"create": False}}):
        assert {"Role", "RoleBinding"}.isdisjoint(item["kind"] for item in render(values))


def test_token_is_mounted_only_for_discovery():
    assert pod(render(), "Deployment", NAME)["automountServiceAccountToken"] is True
    assert one(render(), "ServiceAccount")["automountServiceAccountToken"] is False
    without = render(settings(discovery={"kubernetes": {"enabled": False}}))
    assert pod(without, "Deployment", NAME)["automountServiceAccountToken"] is False
