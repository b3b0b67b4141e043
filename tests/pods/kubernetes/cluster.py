"""A cluster as its administrator sees it: some API server by its kubeconfig, and pods whose kubelet is the test."""

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes.aio import client, config

from aibrix_mw.pods.manifest import NAME, PORT
from tests.pods.kubernetes.forwarder import Forwarder

MERGE = "application/merge-patch+json"


def load_document(file: Path | str) -> Any:
    """A YAML file."""
    return yaml.safe_load(Path(file).read_text())


async def is_gone(cluster: "Cluster", version: str) -> bool:
    """Whether the API server no longer keeps the version: it answers 410, or 200 and then an ERROR of 410."""
    options = {"watch": True, "resource_version": version, "timeout_seconds": 1}
    answer = await cluster.core.list_namespaced_pod_without_preload_content(cluster.namespace, **options)
    body = await answer.content.read() if answer.status == 200 else b""
    return answer.status == 410 or b'"code":410' in body.replace(b" ", b"")


class Cluster:
    """Pods in namespaces of its own, and a kubeconfig for the gateway that leads through a wire that can be cut."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.document = load_document(kubeconfig)
        self.namespaces = []
        self.pods = set()

    async def __aenter__(self):
        self.http = await config.new_client_from_config(str(self.kubeconfig), persist_config=False)
        self.core = client.CoreV1Api(self.http)
        server = urlsplit(self.document["clusters"][0]["cluster"]["server"])
        self.wire = Forwarder(server.hostname, server.port)
        await self.wire.open()
        self.namespace = await self.new_namespace()
        return self

    async def __aexit__(self, *error):
        await self.wire.aclose()
        for namespace, name in list(self.pods):
            await self.remove(name, namespace=namespace, grace=0)
        await self.http.close()

    def through_wire(self, *, context: str | None = None, token: str | None = None) -> str:
        """A kubeconfig for the gateway."""
        document = load_document(self.kubeconfig)
        server = urlsplit(document["clusters"][0]["cluster"]["server"])
        where = {"server": f"{server.scheme}://127.0.0.1:{self.wire.port}", "tls-server-name": server.hostname}
        document["clusters"][0]["cluster"].update(where)
        if context is not None:
            document["current-context"] = context
        if token is not None:
            document["users"] = [{"name": user["name"], "user": {"token": token}} for user in document["users"]]
        file = self.folder / f"kubeconfig-{uuid.uuid4().hex}"
        file.write_text(yaml.safe_dump(document))
        return str(file)

    def has_context(self, name: str) -> bool:
        return any(context["name"] == name for context in self.document["contexts"])

    async def new_namespace(self, name: str | None = None) -> str:
        name = name or f"mw-{uuid.uuid4().hex[:10]}"
        await self.core.create_namespace({"metadata": {"name": name}})
        self.namespaces.append(name)
        return name

    async def grant(self, namespace: str, **rights: list[str]) -> None:
        """Give the account `gateway` these verbs, by resource."""
        api = client.RbacAuthorizationV1Api(self.http)
        name = f"r-{uuid.uuid4().hex[:8]}"
        rules = [{"apiGroups": [""], "resources": [what], "verbs": verbs} for what, verbs in rights.items()]
        await api.create_namespaced_role(namespace, {"metadata": {"name": name}, "rules": rules})
        group = "rbac.authorization.k8s.io"
        subject = {"kind": "User", "name": "gateway", "apiGroup": group}
        role = {"kind": "Role", "name": name, "apiGroup": group}
        binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
        await api.create_namespaced_role_binding(namespace, binding)

    # --- pods

    async def pod(self, name, model="m", *, ready=True, ip="127.0.0.1", namespace=None, port="8000", **extra) -> str:
        """Create a pod and say what its kubelet would; returns its uid. `labels`, `annotations` come on top."""
        namespace = namespace or self.namespace
        labels = {NAME: model} if model is not None else {}
        labels |= {PORT: port} | extra.get("labels", {})
        meta = {"name": name, "labels": labels, "annotations": extra.get("annotations", {})}
        # a node that is not there: nobody schedules the pod, and its deletion is graceful
        spec = {"containers": [{"name": "engine", "image": "engine"}], "nodeName": "nowhere"}
        made: Any = await self.core.create_namespaced_pod(namespace, {"metadata": meta, "spec": spec})
        self.pods.add((namespace, name))
        await self.set_ready(name, ready, ip=ip, namespace=namespace)
        return str(made.metadata.uid)

    async def set_ready(self, name, ready, *, ip="127.0.0.1", namespace=None) -> None:
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]}
        namespace = namespace or self.namespace
        await self.core.patch_namespaced_pod_status(name, namespace, {"status": status}, _content_type=MERGE)

    async def describe(self, name, *, namespace=None, **metadata) -> None:
        """Change labels or annotations; None removes one."""
        namespace = namespace or self.namespace
        await self.core.patch_namespaced_pod(name, namespace, {"metadata": metadata}, _content_type=MERGE)

    async def remove(self, name, *, namespace=None, grace=0) -> None:
        """Delete a pod; with a grace period it terminates, and is there until it is removed with 0."""
        namespace = namespace or self.namespace
        if grace == 0:
            self.pods.discard((namespace, name))
        await self.core.delete_namespaced_pod(name, namespace, grace_period_seconds=grace)
