"""Helm and kubectl against a cluster that the tests may use: `pytest tests/chart --kubeconfig FILE`."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.chart.pieces import Values, merged
from tests.chart.rendering import CHART, Object, environment
from tests.chart.tools import tool

# what an API server below 1.23 does not serve; native preStop hooks the chart leaves out by itself
OLD: Values = {
    "gateway": {"podDisruptionBudget": {"enabled": False}},
    "valkey": {"podDisruptionBudget": {"enabled": False}, "persistence": {"enabled": False}},
    "modelDefaults": {"podDisruptionBudget": {"enabled": False}},
}
KINDS = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,pods"


class Cluster:
    """A namespace of a cluster, and the chart as that cluster takes it."""

    def __init__(self, kubeconfig: str, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.namespace = f"aibrix-mw-{uuid4().hex[:8]}"

    def kubectl(self, *arguments: str, text: str = "", namespace: str | None = None) -> str:
        """Return what kubectl prints; fails with what it complains of."""
        where = ["--kubeconfig", self.kubeconfig, "--namespace", namespace or self.namespace]
        command = [str(tool("kubectl")), *where, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def helm(self, *arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
        """Run Helm on the cluster, with values adapted to it."""
        where = ["--kubeconfig", self.kubeconfig, "--namespace", self.namespace]
        given = [] if values is None else ["--values", "-"]
        text = json.dumps(self.adapted(values or {}))
        command = [str(tool("helm")), *arguments, *given, *where]
        return subprocess.run(command, input=text, capture_output=True, text=True, env=environment(), check=False)

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the server; of a build that does not tell, (0, 0)."""
        server = json.loads(self.kubectl("version", "--output", "json"))["serverVersion"]
        found = re.match(r"v(\d+)\.(\d+)", server["gitVersion"])
        assert found is not None, server
        return int(found[1]), int(found[2])

    @cached_property
    def served(self) -> set[tuple[str, str]]:
        """(apiVersion, kind) of everything that the server knows."""
        known = set()
        for line in self.kubectl("api-resources", "--no-headers").splitlines():
            *_, api, _, kind = line.split()
            known.add((api, kind))
        return known

    @property
    def is_old(self) -> bool:
        """Whether the server lacks kinds of the chart's default objects."""
        return ("policy/v1", "PodDisruptionBudget") not in self.served

    def adapted(self, values: Values) -> Values:
        """Return values without what the server does not serve."""
        return merged(values, OLD) if self.is_old else values

    @cached_property
    def chart(self) -> str:
        """The chart's folder; a server that does not tell its version gets one that does not ask for it."""
        if self.version >= (1, 20):
            return str(CHART)
        copy = self.folder / "chart"
        shutil.copytree(CHART, copy)
        about = (copy / "Chart.yaml").read_text()
        (copy / "Chart.yaml").write_text(re.sub(r"^kubeVersion:.*\n", "", about, flags=re.MULTILINE))
        return str(copy)

    def get(self, kind: str, name: str) -> Object:
        """Return an object."""
        found: Object = json.loads(self.kubectl("get", kind, name, "--output", "json"))
        return found

    def names(self, instance: str) -> set[str]:
        """Return kind/name of every object of a release, hooks too."""
        listed = self.kubectl("get", KINDS, "--selector", f"app.kubernetes.io/instance={instance}", "--output", "name")
        return set(listed.split())


@contextmanager
def namespace(kubeconfig: str, folder: Path) -> Iterator[Cluster]:
    """A cluster with a new namespace, which goes at the end."""
    cluster = Cluster(kubeconfig, folder)
    cluster.kubectl("create", "namespace", cluster.namespace)
    try:
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


@contextmanager
def release(cluster: Cluster, name: str, values: Values, flags: Sequence[str] = ()) -> Iterator[Any]:
    """A release of the chart, uninstalled at the end; yields an upgrade of it."""

    def upgrade(*more: Values) -> subprocess.CompletedProcess[str]:
        return cluster.helm("upgrade", name, cluster.chart, *flags, values=merged(values, *more))

    try:
        done = cluster.helm("install", name, cluster.chart, *flags, values=values)
        assert done.returncode == 0, done.stderr
        yield upgrade
    finally:
        cluster.helm("uninstall", name)
