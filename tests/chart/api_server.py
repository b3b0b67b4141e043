"""As much of an API server as `lookup` in a template asks: discovery of Deployments, and reading one."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_DEPLOYMENTS = {
    "name": "deployments",
    "singularName": "deployment",
    "namespaced": True,
    "kind": "Deployment",
    "verbs": ["get"],
}
_APPS = {"groupVersion": "apps/v1", "version": "v1"}
_DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [_DEPLOYMENTS]},
}
_NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextmanager
def api_server(objects: list[Mapping[str, Any]], folder: Path) -> Iterator[Path]:
    """Serve Deployments on the loopback address; yield a kubeconfig for them."""
    answers = dict(_DISCOVERY)
    for item in objects:
        metadata = item["metadata"]
        answers[f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}"] = item

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            body = json.dumps(found or _NOT_FOUND).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = folder / "kubeconfig"
        file.write_text(json.dumps(_kubeconfig(server.server_port)))
        yield file
        server.shutdown()


def _kubeconfig(port: int) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "here",
    }
