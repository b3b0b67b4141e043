"""Raw clients of a whole gateway before a raw engine, on our server or on uvicorn's with h11."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from aibrix_mw.app import create_app
from aibrix_mw.server.bounds import Bounds
from tests.asgi import ask
from tests.server.test_listener import serving
from tests.serving import listening
from tests.upstream.raw_engine import RawEngine

CHAT_LINE = "POST /v1/chat/completions HTTP/1.1"
BODY = '{"model": "m"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
PATIENCE = 10


async def always_ok(peer):
    """Answer every request."""
    with suppress(ConnectionError):
        while await peer.request():
            await peer.send(OK)


class Row:
    """One raw request of the table, and the status that it gets."""

    def __init__(self, name, fault, answer, line=CHAT_LINE, fields=None, body=BODY, raw=None):
        self.name, self.fault, self.answer = name, fault, answer
        fields = ["Host: gateway", "Content-Length: 14"] if fields is None else fields
        self.raw = (raw or "\r\n".join([line, *fields, "", body])).encode("latin-1")

    def __repr__(self):
        return f"{self.fault} {self.name}"


ROWS = [Row(**row) for row in yaml.safe_load((Path(__file__).parents[1] / "data" / "raw_requests.yaml").read_bytes())]


class Served:
    """A gateway on a port of 127.0.0.1, and the engine behind it."""

    def __init__(self, port, engine, gateway):
        self.port, self.engine, self.gateway = port, engine, gateway

    async def ask(self, raw, *later):
        """All that is answered to these bytes: it ends when the gateway closes, or when an answer is there."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                for piece in (raw, *later):
                    writer.write(piece)
                    await asyncio.sleep(0)
                answer = await reader.readuntil(b"\r\n\r\n")
                if b"\r\nconnection: close" in answer.lower():
                    return answer + await reader.read()
                length = answer.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
                return answer + await reader.readexactly(int(length or 0))
            finally:
                writer.transport.abort()

    async def outcomes(self):
        """How requests have ended, and how often."""
        text = (await ask(self.gateway.admin, b"", "/metrics", method="GET")).body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        counted = [sample for sample in samples if sample.name == "aibrix_gateway_requests_total"]
        return {(sample.labels["code"], sample.labels["outcome"]): int(sample.value) for sample in counted}

    @property
    def seen(self):
        """Requests that the engine has seen, over all its connections."""
        return [request for peer in self.engine.peers for request in peer.requests]


@asynccontextmanager
async def gateway(script=None, *, server="ours", bounds: Bounds | None = None, config=None, **settings: Any):
    """Serve a gateway for model m before one raw engine; it answers every request with 200 by default."""
    async with RawEngine(script or always_ok) as engine:
        model = {"endpoints": [f"http://{engine.address.netloc}"]} | ({"config": config} if config else {})
        app = create_app({"models": {"m": model}, **settings})
        if server == "ours":
            async with app.running(), serving(app.stack, bounds=bounds) as listener:
                yield Served(listener.port, engine, app)
        else:
            async with listening(app, http=server) as url:
                yield Served(int(url.rpartition(":")[2]), engine, app)


def status_of(answer):
    return int(answer[9:12])


def chat(*fields, body=BODY, line=CHAT_LINE, length=None):
    """A raw request with further header lines."""
    length = len(body) if length is None else length
    return "\r\n".join([line, "Host: gateway", f"Content-Length: {length}", *fields, "", body]).encode("latin-1")
