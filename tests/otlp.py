"""A real OTLP/HTTP receiver in the test process, and traces as one looks at them: trees of spans."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Seen(msgspec.Struct):
    """A span as it came over the wire."""

    name: str
    kind: str
    id: str
    parent: str
    trace: str
    state: str
    error: bool
    attributes: dict[str, Any]
    events: list[str]
    links: list[str]
    resource: dict[str, Any]
    start: int
    end: int


class Receiver:
    """What has been exported to `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Seen] = []
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self._arrivals: Queue[None] = Queue()

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _plain(resource.resource.attributes)
            self.spans += [_seen(span, about) for scope in resource.scope_spans for span in scope.spans]
        self._arrivals.put(None)

    def wait(self, count: int) -> None:
        """Until so many spans are there."""
        while len(self.spans) < count:
            self._arrivals.get(timeout=20)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.headers.append(dict(self.headers))
            assert self.path == "/v1/traces"
            if receiver.status == 200:
                receiver.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(receiver.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def tree(spans: Sequence[Seen]) -> list[Any]:
    """The spans of one trace as nested lists: name, kind, whether it failed, then its children by start."""
    known = {span.id for span in spans}
    (root,) = [span for span in spans if span.parent not in known]
    assert len({span.trace for span in spans}) == 1
    return _branch(root, spans)


def _branch(span: Seen, spans: Sequence[Seen]) -> list[Any]:
    children = sorted((child for child in spans if child.parent == span.id), key=lambda child: child.start)
    mark = f"{span.kind} {span.name}{' !' if span.error else ''}"
    return [mark, *(_branch(child, spans) for child in children)]


_KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}


def _seen(span: Any, resource: dict[str, Any]) -> Seen:
    return Seen(
        name=span.name,
        kind=_KINDS[span.kind],
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        trace=span.trace_id.hex(),
        state=span.trace_state,
        error=span.status.code == 2,
        attributes=_plain(span.attributes),
        events=[event.name for event in span.events],
        links=[f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links],
        resource=resource,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
