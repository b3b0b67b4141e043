"""StrictHttpMiddleware alone: under a server that lets everything through, and behind our own."""

import pytest

from aibrix_mw.client import RAW_TARGET
from aibrix_mw.headers import LOOK_ALIKES
from aibrix_mw.middleware.strict_http import MAX_TARGET_BYTES, StrictHttpMiddleware
from aibrix_mw.scope import headers_of
from tests.asgi import CHAT, ask

HOST = (b"host", b"a")
LENGTH = (b"content-length", b"3")


class Inner:
    """What is inside: notes scopes and answers."""

    def __init__(self):
        self.scopes = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})


async def status_of(*headers, **options):
    return (await ask(StrictHttpMiddleware(Inner()), headers=headers, **options)).status


def ours(target, **more):
    return {"extensions": {RAW_TARGET: target}, **more}


async def test_what_is_refused_says_why_and_ends_the_connection():
    inner = Inner()
    reply = await ask(StrictHttpMiddleware(inner), headers=[HOST, HOST])
    error = {
        "message": "one of host, content-length, content-type and transfer-encoding is there twice",
        "type": "invalid_request_error",
        "code": "invalid_request",
    }
    assert (reply.status, reply.json(), reply.header("connection")) == (400, {"error": error}, b"close")
    assert inner.scopes == []


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"+3")],
        [(b"content-length", b"")],
        [(b"content-length", "\u0663".encode())],
        [LENGTH, (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"")],
        [(b"host", b"a b")],
        [(b"host", b"")],
        [(b"a b", b"")],
        [(b"", b"a")],
        [(b"a", b"\n")],
        [(b"a", b"\x7f")],
        [(b"content-type", b"a"), (b"content-type", b"a")],
    ],
)
async def test_headers_that_another_server_lets_through(headers):
    assert await status_of(*headers) == 400


@pytest.mark.parametrize(
    "headers", [[LENGTH], [(b"transfer-encoding", b" Chunked ")], [(b"a", b"\t\xff")], [(b"a", b"")] * 2]
)
async def test_headers_that_are_well_formed(headers):
    assert await status_of(*headers) == 200


@pytest.mark.parametrize(
    ("version", "status"), [("1.1", 400), ("1.0", 200), ("2", 200), ("3", 200), ("0.9", 400), ("2.0", 400)]
)
async def test_only_version_1_1_needs_a_host(version, status):
    app = StrictHttpMiddleware(Inner())
    assert (await ask(_without_host(app), http_version=version)).status == status
    assert (await ask(app, http_version=version)).status == (status if version != "1.1" else 200)


def _without_host(app):
    async def hostless(scope, receive, send):
        await app(scope | {"headers": []}, receive, send)

    return hostless


@pytest.mark.parametrize("method", ["CONNECT", "POST"])
@pytest.mark.parametrize(
    "target", [b"*", b"http://a/", b"a:80", b"/a b", b"/\xff", b"/a#b", b"/%00", b"/%2e/", b"x/v1/models/"]
)
async def test_targets_that_are_no_path(target, method):
    for given in (ours(target), {"raw_path": target, "path": "/"}):
        assert await status_of(HOST, method=method, **given) == 400
    assert await status_of(HOST, method="CONNECT", **ours(b"/")) == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/models/org%2Fname", 200),
        (b"/llm/v1/models/org%2fname%2F1.5", 200),
        (b"/v1/models/..%2Fmetrics", 400),
        (b"/v1/models/%2E%2e", 400),
        (b"/v1/models/a%5Cb", 400),
        (b"/v1%2f/v1/models/a", 400),
        (b"/a%20b%25?%2F%00#", 400),
        (b"/a%20b%25?%2F%00", 200),
    ],
)
async def test_what_a_path_may_hide(target, status):
    assert await status_of(**ours(target)) == status
    path, _, query = target.partition(b"?")
    assert await status_of(raw_path=path, query_string=query, path="/") == status


async def test_a_server_that_tells_no_raw_path():
    assert await status_of(raw_path=None) == 200
    assert await status_of(raw_path=None, path="a") == 400
    assert await status_of(raw_path=None, path="") == 200


@pytest.mark.parametrize("more", [0, 1])
async def test_f10_bounds_under_another_server(more):
    status = 431 if more else 200
    count = [(b"x-%d" % number, b"") for number in range(99 + more)]
    assert await status_of(*count) == status
    size = [HOST, (b"x", b"x" * (65_536 - 18 - len(CHAT) - 9 - 5 + more))]
    assert await status_of(*size) == status
    target = b"/" + b"x" * (MAX_TARGET_BYTES - 1 + more)
    assert await status_of(**ours(target)) == status


async def test_bounds_are_arguments():
    app = StrictHttpMiddleware(Inner(), max_header_bytes=100, max_headers=2)
    assert (await ask(app, headers=[HOST, (b"x", b"")])).status == 200
    assert (await ask(app, headers=[HOST, (b"x", b""), (b"y", b"")])).status == 431
    reply = await ask(app, headers=[HOST, (b"x", b"x" * 70)])
    assert (reply.status, reply.json()["error"]["code"]) == (431, "headers_too_large")


async def test_f08_look_alikes_are_dropped_and_the_trusted_value_stays():
    inner = Inner()
    trusted = [HOST, (b"x-api-key", b"good"), (b"x-forwarded-for", b"good")]
    forged = [(b"x_api-key", b"bad"), (b"x_api_key", b"bad"), (b"x-forwarded_for", b"bad"), (b"content_length", b"9")]
    reply = await ask(StrictHttpMiddleware(inner), headers=[*trusted, *forged, (b"my_own", b"1")])
    assert reply.status == 200
    assert inner.scopes[0]["headers"] == [*trusted, (b"my_own", b"1")]
    assert headers_of(inner.scopes[0]) == dict([*trusted, (b"my_own", b"1")])
    assert {
        b"target_pod-ip",
        b"target-pod_ip",
        b"x_request_id",
        b"transfer_encoding",
        b"x_aibrix-session_key",
    } < LOOK_ALIKES


async def test_what_is_known_is_bounded():
    app = StrictHttpMiddleware(Inner())
    for number in range(1030):
        assert (await ask(app, **ours(b"/%d" % number))).status == 200
        assert (await ask(app, **ours(b"/%d" % number + b"x" * 300))).status == 200
    assert [start[2] for start in sorted(app._known)] == [b"/%d" % number for number in range(1024, 1030)]


async def test_other_scopes_pass():
    inner = Inner()
    await StrictHttpMiddleware(inner)({"type": "lifespan"}, None, _nothing)
    assert inner.scopes == [{"type": "lifespan"}]


async def _nothing(_message):
    pass
