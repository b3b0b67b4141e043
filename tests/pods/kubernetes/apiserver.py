"""A small API server for pods: a process on loopback, in memory, with the semantics that a watch relies on.

list (pages, snapshots), watch (resourceVersion, selectors that objects enter and leave, bookmarks, timeouts, 410 after
compaction), graceful deletion, Events, and rights of the account `gateway`. `POST /control` does what an administrator
of etcd or of tokens would do. test_apiserver.py holds it against the real one.
"""

import asyncio
import json
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from aibrix_mw.pods.selector import Selector
from tests.pods.kubernetes.access import Access

BOOKMARK_SECONDS = 0.5


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status(code, message, reason=""):
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return body | {"message": message}


def merge(base, patch):
    """JSON merge patch."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged


class Store:
    """Pods, and all that happened to them since the last compaction: (version, before, after)."""

    def __init__(self):
        self.version = 1000
        self.pods = {}
        self.events = []
        self.history = []
        self.oldest = self.version
        self.snapshots = {}
        self.changed = asyncio.Event()

    def write(self, key, pod):
        """Put a pod, or delete it with None; wakes the watches."""
        self.version += 1
        before = self.pods.pop(key, None)
        after = pod if pod is not None else before
        after = after | {"metadata": after["metadata"] | {"resourceVersion": str(self.version)}}
        if pod is not None:
            self.pods[key] = after
        self.history.append((self.version, before, after, pod is None))
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        return after

    def compact(self):
        """Forget what happened, and pages that somebody may be in the middle of."""
        self.version += 1
        self.oldest = self.version
        self.history.clear()
        self.snapshots.clear()
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def since(self, version, wanted):
        """Watch events after a version, as one watcher with its selector sees them."""
        for at, before, after, deleted in self.history:
            if at > version:
                was, matches = before is not None and wanted(before), wanted(after) and not deleted
                if was or matches:
                    kind = "DELETED" if not matches else "MODIFIED" if was else "ADDED"
                    yield {"type": kind, "object": after}


def fill(store, template, namespace, pods, models):
    """Pods like a template, spread over models."""
    ready = template["status"] | {"conditions": [{"type": "Ready", "status": "True"}]}
    for number in range(pods):
        model = f"model-{number % models}"
        named = {
            "labels": {"model.aibrix.ai/name": model, "model.aibrix.ai/port": "8000"},
            "annotations": template["metadata"]["annotations"] | {"model.aibrix.ai/adapters": f"{model}-sql"},
        }
        meta = {
            "name": f"pod-{number:05}",
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": now(),
        }
        address = {"podIP": f"10.1.{number // 250}.{number % 250 + 1}"}
        pod = template | {"metadata": template["metadata"] | meta | named, "status": ready | address}
        store.write((namespace, meta["name"]), pod)


def storm(store, namespace, changes):
    """Turn the first pods of a namespace NotReady, all at once."""
    for key in sorted(key for key in store.pods if key[0] == namespace)[:changes]:
        pod = store.pods[key]
        store.write(key, pod | {"status": pod["status"] | {"conditions": [{"type": "Ready", "status": "False"}]}})


class Api:
    """The HTTP side."""

    def __init__(self):
        self.store = Store()
        self.access = Access()
        self.asked = Counter()
        self.failing = []
        pods = "/api/v1/namespaces/{namespace}/pods"
        everything = ["GET", "POST", "PATCH", "DELETE"]
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{kind}"
        self.app = Starlette(
            routes=[
                Route("/control", self.control, methods=["POST"]),
                Route("/api/v1/namespaces", self.namespaces, methods=["POST"]),
                Route("/api/v1/pods", self.collection, methods=["GET"]),
                Route(pods, self.collection, methods=everything),
                Route(pods + "/{name}", self.one, methods=everything),
                Route(pods + "/{name}/status", self.one, methods=["PATCH"]),
                Route("/api/v1/namespaces/{namespace}/events", self.events, methods=["GET", "POST"]),
                Route(roles, self.roles, methods=["POST"]),
            ]
        )

    async def control(self, request: Request):
        order = await request.json()
        if order.get("compact"):
            self.store.compact()
        self.failing += order.get("fail", [])
        if "fill" in order:
            fill(self.store, **order["fill"])
        if "storm" in order:
            storm(self.store, **order["storm"])
        self.access.tokens.update(order.get("tokens", {}))
        if order.get("cut_pages"):
            self.store.snapshots.clear()
        return JSONResponse({"asked": self.asked})

    async def namespaces(self, request: Request):
        return JSONResponse({"kind": "Namespace", "apiVersion": "v1"} | await request.json(), 201)

    async def roles(self, request: Request):
        body = await request.json()
        self.access.grant(request.path_params["namespace"], request.path_params["kind"], body)
        return JSONResponse(body, 201)

    def refusal(self, request: Request, verb, resource):
        self.asked[f"{verb} {resource}"] += 1
        if self.failing and "gateway" in request.headers.get("authorization", ""):
            return JSONResponse(status(self.failing.pop(0), "not now"), 503, {"retry-after": "0"})
        refused = self.access.check(request, verb, resource)
        return refused and JSONResponse(status(*refused), refused[0])

    async def collection(self, request: Request):
        query = request.query_params
        verb = "create" if request.method == "POST" else "watch" if query.get("watch") == "true" else "list"
        if (refused := self.refusal(request, verb, "pods")) is not None:
            return refused
        namespace = request.path_params.get("namespace")
        if verb == "create":
            return self.create(namespace, await request.json())
        selector = Selector(query.get("labelSelector", ""))

        def wanted(pod):
            meta = pod["metadata"]
            return namespace in {None, meta["namespace"]} and selector.matches(meta.get("labels") or {})

        return self.watch(query, wanted) if verb == "watch" else self.list(query, wanted)

    def create(self, namespace, pod):
        meta = {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()} | pod["metadata"]
        key = namespace, meta["name"]
        if key in self.store.pods:
            return JSONResponse(status(409, "exists", "AlreadyExists"), 409)
        made = {"apiVersion": "v1", "kind": "Pod", "spec": {}, "status": {"phase": "Pending"}} | pod
        return JSONResponse(self.store.write(key, made | {"metadata": meta}), 201)

    def list(self, query, wanted):
        token, limit = query.get("continue"), int(query.get("limit", "0"))
        if token:
            if token not in self.store.snapshots:
                return JSONResponse(status(410, "The provided continue parameter is too old", "Expired"), 410)
            version, found = self.store.snapshots.pop(token)
        else:
            version, found = self.store.version, [pod for _, pod in sorted(self.store.pods.items()) if wanted(pod)]
        meta = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            meta["continue"] = uuid.uuid4().hex
            self.store.snapshots[meta["continue"]] = version, found[limit:]
            found = found[:limit]
        items = [{key: value for key, value in pod.items() if key not in {"kind", "apiVersion"}} for pod in found]
        return JSONResponse({"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items})

    def watch(self, query, wanted):
        return StreamingResponse(self.lines(query, wanted), media_type="application/json")

    async def lines(self, query, wanted):
        store = self.store
        version = int(query.get("resourceVersion") or store.version)
        end = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds", "1800"))
        yield b""
        while asyncio.get_running_loop().time() < end:
            if version < store.oldest:
                gone = status(410, f"too old resource version: {version} ({store.oldest})", "Expired")
                yield json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"
                return
            changed = store.changed
            for event in store.since(version, wanted):
                yield json.dumps(event).encode() + b"\n"
            version = store.version
            try:
                await asyncio.wait_for(changed.wait(), min(BOOKMARK_SECONDS, end - asyncio.get_running_loop().time()))
            except TimeoutError:
                mark = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}}
                yield json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n"

    async def one(self, request: Request):
        if (refused := self.refusal(request, request.method.lower(), "pods")) is not None:
            return refused
        key = request.path_params["namespace"], request.path_params["name"]
        pod = self.store.pods.get(key)
        if pod is None:
            return JSONResponse(status(404, f"pods {key[1]} not found", "NotFound"), 404)
        if request.method == "PATCH":
            patch = await request.json()
            section = "status" if request.url.path.endswith("/status") else "metadata"
            pod = self.store.write(key, pod | {section: merge(pod[section], patch.get(section, {}))})
        elif request.method == "DELETE":
            pod = self.delete(key, pod, json.loads(await request.body() or b"{}"), request.query_params)
        return JSONResponse(pod)

    def delete(self, key, pod, options, query):
        grace = query.get("gracePeriodSeconds", options.get("gracePeriodSeconds", 30))
        if int(grace) == 0 or not pod["spec"].get("nodeName"):
            return self.store.write(key, None)
        meta = pod["metadata"] | {"deletionTimestamp": now(), "deletionGracePeriodSeconds": int(grace)}
        return self.store.write(key, pod | {"metadata": meta})

    async def events(self, request: Request):
        if (refused := self.refusal(request, "create" if request.method == "POST" else "list", "events")) is not None:
            return refused
        if request.method == "GET":
            return JSONResponse({"kind": "EventList", "metadata": {}, "items": self.store.events})
        event = await request.json()
        if any(old["metadata"]["name"] == event["metadata"]["name"] for old in self.store.events):
            return JSONResponse(status(409, "exists", "AlreadyExists"), 409)
        self.store.events.append(event)
        return JSONResponse(event, 201)


def main(port):
    config = uvicorn.Config(Api().app, host="127.0.0.1", port=port, log_level="warning", lifespan="off", loop="uvloop")
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
