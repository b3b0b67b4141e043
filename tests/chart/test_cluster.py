"""The chart in a real cluster (`--kubeconfig FILE`): installed, upgraded, tested, uninstalled; and what it may do."""

import base64
import json
import re
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from tests.chart import golden
from tests.chart.cluster import namespace, release
from tests.chart.pieces import VALKEY, gateway, merged, settings
from tests.chart.rendering import render_text
from tests.ports import free_port

NAME = "gw-aibrix-mw"
# no image is there to be pulled, and nobody waits for it
QUIET = gateway(resources={"requests": {"cpu": "10m", "memory": "64Mi"}})
MODEL = {"models": {"my-model": {"engine": "simulated", "replicas": 2}}}
LEG = {"image": "x:1"}
LEGS = {"models": {"m": {"disaggregation": {"rolesets": ["a"], "compatibility": "x", "prefill": LEG, "decode": LEG}}}}


@pytest.fixture(scope="module")
def cluster(kubeconfig, tmp_path_factory):
    with namespace(kubeconfig, tmp_path_factory.mktemp("cluster")) as found:
        yield found


def checksum(cluster):
    template = cluster.get("deployment", NAME)["spec"]["template"]
    return template["metadata"]["annotations"]["aibrix-mw/settings-checksum"]


def configured(cluster):
    return yaml.safe_load(cluster.get("configmap", f"{NAME}-settings")["data"]["settings.yaml"])


# -- the life of a release


def test_install_upgrade_uninstall(cluster):
    values = merged(QUIET, VALKEY, MODEL)
    with release(cluster, "gw", values) as upgrade:
        names = cluster.names("gw")
        assert {f"deployment.apps/{NAME}", f"service/{NAME}-admin", f"statefulset.apps/{NAME}-valkey"} <= names
        first, password = checksum(cluster), cluster.get("secret", f"{NAME}-valkey")["data"]["password"]
        assert len(base64.b64decode(password)) == 32

        assert upgrade(settings(users={"records": {"ann": {"rpm": 5}}}, log={"level": "debug"})).returncode == 0
        assert configured(cluster)["users"] == {"records": {"ann": {"rpm": 5}}}
        assert checksum(cluster) == first, "what applies at once rolls nothing"

        assert upgrade(settings(routing={"attempts": 3})).returncode == 0
        assert checksum(cluster) != first, "what needs a restart rolls the pods"
        assert cluster.get("secret", f"{NAME}-valkey")["data"]["password"] == password

        selectors = cluster.get("deployment", NAME)["spec"]["selector"]
        assert upgrade({"commonLabels": {"owner": "ml"}, "image": {"tag": "0.2.0"}}).returncode == 0
        assert cluster.get("deployment", NAME)["spec"]["selector"] == selectors
    gone = time.monotonic() + 60
    while cluster.names("gw") and time.monotonic() < gone:  # a controller, where there is one, takes its time
        time.sleep(0.5)
    assert cluster.names("gw") == set()


def test_both_legs_at_once_are_refused(cluster):
    with release(cluster, "gw", merged(QUIET, LEGS)) as upgrade:
        changed = {"image": "x:2"}
        refused = upgrade({"models": {"m": {"disaggregation": {"prefill": changed, "decode": changed}}}})
        assert refused.returncode != 0
        assert "allowSimultaneousRollout" in refused.stderr
        done = upgrade({"models": {"m": {"disaggregation": {"prefill": changed}}}})
        assert done.returncode == 0, done.stderr


def test_helm_tests_are_made(cluster):
    with release(cluster, "gw", merged(QUIET, MODEL)):
        # where nothing runs pods the test ends by its time limit, and the pod is there
        done = cluster.helm("test", "gw", "--timeout", "3s", "--filter", f"name={NAME}-test-ready")
        assert done.returncode == 0 or cluster.get("pod", f"{NAME}-test-ready")
    cluster.kubectl("delete", "pods", "--all", "--wait=false")


# -- every example


@pytest.mark.parametrize("file", golden.EXAMPLES, ids=lambda file: file.stem)
def test_example_is_what_the_server_takes(cluster, file):
    """A server-side dry run, of all kinds that the server knows."""
    text = render_text(
        cluster.adapted({}),
        files=[file],
        namespace=cluster.namespace,
        kubernetes="1.20.0" if cluster.is_old else "1.34.0",
    )
    objects = [item for item in yaml.safe_load_all(text) if item]
    known = [item for item in objects if (item["apiVersion"], item["kind"]) in cluster.served]
    assert {"Deployment", "Service", "ConfigMap", "Role", "RoleBinding", "ServiceAccount"} <= {
        item["kind"] for item in known
    }
    taken = cluster.kubectl("apply", "--dry-run=server", "--filename", "-", text=yaml.safe_dump_all(known))
    assert len(taken.splitlines()) == len(known)


# -- rights


def rights(cluster, account, where):
    """Who may do what, as kubectl lists it: {resource: verbs}."""
    listed = cluster.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={account}", namespace=where)
    rows = [re.match(r"(\S*) +(\[.*?\]) +(\[.*?\]) +\[(.*?)\]$", line) for line in listed.splitlines()]
    return {(row[1] or row[2], row[3]): frozenset(row[4].split()) for row in rows if row is not None}


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({}, {("pods", "[]"): {"get", "list", "watch"}}),
        (
            settings(discovery={"kubernetes": {"emit_events": True}}),
            {("pods", "[]"): {"get", "list", "watch"}, ("events", "[]"): {"create"}},
        ),
    ],
    ids=["pods", "events"],
)
def test_gateway_may_do_this_and_nothing_else(cluster, values, more):
    with release(cluster, "gw", merged(QUIET, values)):
        account = f"system:serviceaccount:{cluster.namespace}:{NAME}"
        nobody = f"system:serviceaccount:{cluster.namespace}:nobody"
        anyway = rights(cluster, nobody, cluster.namespace)
        own = rights(cluster, account, cluster.namespace)
        assert {key: set(verbs) for key, verbs in own.items() if anyway.get(key) != verbs} == more
        assert rights(cluster, account, "default") == rights(cluster, nobody, "default")


def test_all_namespaces_are_watched_with_a_cluster_role_only(cluster):
    with release(cluster, "gw", merged(QUIET, gateway(watchAllNamespaces=True))):
        account = f"system:serviceaccount:{cluster.namespace}:{NAME}"
        assert rights(cluster, account, "default")["pods", "[]"] == {"get", "list", "watch"}
    assert ("pods", "[]") not in rights(cluster, account, "default")


def account_config(cluster, path):
    """A kubeconfig with which one is the gateway's account."""
    config = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = cluster.kubectl("create", "token", NAME).strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    config["contexts"][0]["context"]["namespace"] = cluster.namespace
    path.write_text(yaml.safe_dump(config))


def ready_pod(cluster):
    """A Ready pod of a model, as a kubelet would leave it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "engine", "labels": {"model.aibrix.ai/name": "my-model", "model.aibrix.ai/port": "8000"}},
        "spec": {
            "containers": [{"name": "engine", "image": "x:1"}],
            "nodeName": "nowhere",
            "automountServiceAccountToken": False,
        },
    }
    status = {"phase": "Running", "podIP": "127.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.kubectl("apply", "--filename", "-", text=json.dumps(pod))
    cluster.kubectl(
        "patch", "pod", "engine", "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status})
    )


def test_rendered_role_is_enough_for_discovery(cluster, tmp_path):
    """The gateway with the release's own settings and account sees a pod."""
    with release(cluster, "gw", QUIET):
        account_config(cluster, tmp_path / "kubeconfig")
        own = configured(cluster)
        port = free_port()
        own["listen"] = {"host": "127.0.0.1", "port": 0, "admin_host": "127.0.0.1", "admin_port": port}
        own["discovery"]["kubernetes"]["kubeconfig"] = str(tmp_path / "kubeconfig")
        (tmp_path / "settings.yaml").write_text(yaml.safe_dump(own))
        ready_pod(cluster)
        command = [sys.executable, "-m", "aibrix_mw", "serve", "--settings", str(tmp_path / "settings.yaml")]
        serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            seen = first_models(f"http://127.0.0.1:{port}/status.json", 30)
        finally:
            serving.terminate()
            said, _ = serving.communicate(timeout=20)
        assert seen["my-model"]["ready_pods"] == 1, said
        assert "engine" in str(seen["my-model"]["pods"])
        cluster.kubectl("delete", "pod", "engine", "--grace-period=0", "--force")


def first_models(url, seconds):
    """What /status.json says of the models, as soon as it says something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if models := json.loads(answer.read())["models"]:
                    return models
        except OSError:
            pass
        time.sleep(0.2)
    return {"my-model": {"ready_pods": "never seen", "pods": []}}
