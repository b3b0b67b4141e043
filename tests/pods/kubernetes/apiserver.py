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

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from aibrix_mw.pods.selector import Selector
from tests.pods.kubernetes.access import Access
from tests.pods.kubernetes.store import Store, fill, merge, now, storm

BOOKMARK_SECONDS = 0.5


def status(code, message, reason=""):
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return body | {"message": message}


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
