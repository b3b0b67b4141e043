"""Bytes of a client: however they are cut, what gets in is one well-formed request after the other."""

import asyncio
import re

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.middleware.strict_http import StrictHttpMiddleware
from aibrix_mw.server.bounds import Bounds
from tests.fuzz.cutting import cut, damaged
from tests.server.wire import BODY, Wire, settle, start

METHODS = [b"POST", b"GET", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"post"]
TARGETS = [
    b"/v1/chat/completions",
    b"/a?b=%2F",
    b"/%2e%2e/a",
    b"*",
    b"http://a/b",
    b"a:80",
    b"//a",
    b"/v1/models/a%2Fb",
    b"/a#b",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9"]
FIELDS = [
    b"Host: a",
    b"Host: b",
    b"Host: a/b",
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: +3",
    b"Content-Length: 3, 3",
    b"content_length: 9",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"X-A: " + b"x" * 50,
    b" folded",
    b"X_Forwarded_For: 1",
]
BODIES = [
    b"",
    b"abc",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\na: b\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"0\r\n\r\n",
]
BOUNDS = Bounds(max_header_bytes=4096, max_headers=8)


@st.composite
def conversations(draw):
    """A few requests, some of them damaged, in pieces and in one piece."""
    raw = b""
    for _ in range(draw(st.integers(1, 3))):
        line = b" ".join(
            (draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS)))
        )
        fields = [b"Host: a", *draw(st.lists(st.sampled_from(FIELDS), max_size=4))]
        request = b"\r\n".join([line, *fields, b"", draw(st.sampled_from(BODIES))])
        raw += draw(damaged(request))
    return raw, draw(cut(raw))


class Inner:
    """What is inside: notes requests with their whole body, and answers them."""

    def __init__(self):
        self.requests = []

    async def __call__(self, scope, receive, send):
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
        self.requests.append((scope["method"], scope["raw_path"], tuple(scope["headers"]), body))
        await send(start((b"content-length", b"2")))
        await send({"type": BODY, "body": b"ok"})


async def converse(pieces):
    """What gets in, and what is written."""
    inner = Inner()
    wire = Wire(StrictHttpMiddleware(inner), bounds=BOUNDS)
    for piece in pieces:
        if not wire.closed:
            wire.protocol.data_received(piece)
            await settle()
    written = wire.taken()
    await wire.leave()
    assert wire.protocol.tasks == set()
    assert wire.protocol.connections == set()
    return inner.requests, written


def check(request):
    method, raw_path, headers, body = request
    fields = dict(headers)
    names = [name for name, _ in headers]
    assert method != "CONNECT"
    assert re.fullmatch(rb"/[\x21-\x7e]*", raw_path)
    assert not re.search(rb"%2e|%5c|%[01]|#|\?", raw_path, re.IGNORECASE)
    assert names.count(b"host") <= 1
    assert not {b"content-length", b"transfer-encoding"} <= fields.keys()
    assert fields.get(b"transfer-encoding", b"chunked").strip().lower() == b"chunked"
    assert len(body) == int(fields.get(b"content-length", b"%d" % len(body)))
    assert body == b"" or {b"content-length", b"transfer-encoding"} & fields.keys()
    assert all(re.fullmatch(rb"[a-z0-9!#$%&'*+.^_`|~-]+", name) for name in names)
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", b"".join(fields.values()))
    assert not [name for name in names if name in {b"content_length", b"x_forwarded_for"}]


@given(conversations())
def test_requests(conversation):
    raw, pieces = conversation

    async def compare():
        at_once, written = await converse([raw])
        in_pieces, _ = await converse(pieces)
        for request in at_once + in_pieces:
            check(request)
        # an answer is written for each request that got in, and at most one refusal by the server at the end
        assert re.match(rb"(HTTP/1\.1 \d{3} |$)", written)
        assert at_once == in_pieces

    asyncio.run(compare())
