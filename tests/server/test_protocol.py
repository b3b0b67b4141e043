"""What requests become scopes, and what becomes of those that cannot."""

import json

import pytest
from starlette.types import Scope

from aibrix_mw.server import target as targets
from tests.server.wire import BAD_REQUEST, BODY, CHUNKED, GET, POST, Wire, echo, settle, start, whole


class Scopes(list[Scope]):
    """An application that keeps scopes and answers with the request's body."""

    async def __call__(self, scope, receive, send):
        self.append(dict(scope))
        await echo(scope, receive, send)


async def scope_of(request, **options):
    scopes = Scopes()
    await Wire(scopes, **options).send(request)
    return scopes[0]


async def test_the_scope():
    scope = await scope_of(b"PUT /a%20b%2F?c=%20 HTTP/1.1\r\nHost: H\r\nX-A: 1\r\nx-a:  2\r\n\r\n")
    extensions = scope.pop("extensions")
    assert callable(extensions.pop("aibrix_mw.on_disconnect"))
    assert extensions == {"aibrix_mw.raw_target": b"/a%20b%2F?c=%20"}
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": "/a b/",
        "raw_path": b"/a%20b%2F",
        "query_string": b"c=%20",
        "root_path": "",
        "headers": [(b"host", b"H"), (b"x-a", b"1"), (b"x-a", b"2")],
        "client": ("192.0.2.1", 5),
        "server": ("192.0.2.2", 80),
    }


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a/b?c?d", "/a/b", b"/a/b", b"c?d"),
        (b"/a#b", "/a", b"/a", b""),
        (b"//a/b", "//a/b", b"//a/b", b""),
        (b"/%C3%A9%zz%ff", "/é%zz\ufffd", b"/%C3%A9%zz%ff", b""),
        (b"http://host:80/v1/models?x=1", "/v1/models", b"/v1/models", b"x=1"),
        (b"http://host?x=1", "/", b"/", b"x=1"),
        (b"*", "*", b"*", b""),
    ],
)
async def test_targets(target, path, raw_path, query):
    for _ in range(2):  # the second time it is remembered
        scope = await scope_of(b"OPTIONS %b HTTP/1.1\r\nhost: a\r\n\r\n" % target)
        assert scope["extensions"]["aibrix_mw.raw_target"] == target
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


async def test_what_is_remembered_of_targets_is_bounded(monkeypatch):
    monkeypatch.setattr(targets, "_MOST_TARGETS_REMEMBERED", 2)
    targets.TARGETS.clear()
    for target in (b"/1", b"/2", b"/3", b"/" + bytes([97]) * 256):
        assert (await scope_of(b"GET %b HTTP/1.1\r\n\r\n" % target))["raw_path"] == target
    assert list(targets.TARGETS) == [b"/3"]


async def test_a_head_in_pieces():
    request = b"GET /path?query HTTP/1.1\r\nhost: a\r\nname: value\r\n\r\n"
    scopes = Scopes()
    await Wire(scopes).send(*(request[at : at + 1] for at in range(len(request))))
    assert (scopes[0]["path"], scopes[0]["query_string"]) == ("/path", b"query")
    assert scopes[0]["headers"] == [(b"host", b"a"), (b"name", b"value")]


async def test_methods_that_nobody_has_thought_of():
    assert (await scope_of(GET.replace(b"GET", b"PROPFIND")))["method"] == "PROPFIND"


# --- what cannot be parsed

MALFORMED = [
    b"\0",
    b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\na : c\r\n\r\n",
    b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET http:// HTTP/1.1\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    POST.replace(b"host: a", b"transfer-encoding: chunked"),
    POST.replace(b"host: a", b"content-length: 6"),
    POST.replace(b"6", b"+6"),
    POST.replace(b"6", b"6, 6"),
]


@pytest.mark.parametrize("malformed", MALFORMED)
async def test_what_cannot_be_parsed_is_refused(malformed):
    wire = Wire(scopes := Scopes())
    answer = await wire.send(malformed)
    assert answer.startswith(BAD_REQUEST)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nx-request-id: " in head
    assert head.endswith(b"\r\nconnection: close")
    error = {"message": "the request is not valid HTTP", "type": "invalid_request_error", "code": "invalid_request"}
    assert json.loads(body) == {"error": error}
    assert (wire.closed, scopes, wire.protocol.tasks) == (True, [], set())


@pytest.mark.parametrize("malformed", MALFORMED)
async def test_the_same_behind_a_whole_request_takes_no_answer_away(malformed):
    """Whoever counts answers would take the 400 for the one to the request before."""
    for pieces in ([GET + malformed], [GET, malformed]):
        wire = Wire(Scopes())
        answer = await wire.send(*pieces)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1") == len(pieces)
        assert (wire.closed, wire.protocol.tasks) == (True, set())


@pytest.mark.parametrize("chunk", [b"0x3\r\nfoo\r\n", b"0_3\r\nfoo\r\n", b"3\r\nfooo\r\n", b"-1\r\n", b"\r\n"])
async def test_a_malformed_body_is_refused(chunk):
    for pieces in ([CHUNKED + chunk], [CHUNKED, chunk]):
        wire = Wire(Scopes())
        answer = await wire.send(*pieces)
        assert answer.startswith(BAD_REQUEST)
        assert answer.count(b"HTTP/1.1") == 1
        assert wire.closed


async def test_who_reads_a_malformed_body_hears_a_disconnect_and_says_nothing():
    heard = []

    async def app(scope, receive, send):
        heard.append((await receive())["body"])
        heard.append((await receive())["type"])
        await whole()(scope, receive, send)

    wire = Wire(app)
    answer = await wire.send(CHUNKED + b"3\r\nfoo\r\n", b"x")
    assert heard == [b"foo", "http.disconnect"]
    assert answer.count(b"HTTP/1.1") == 1
    assert (wire.closed, wire.protocol.tasks) == (True, set())


@pytest.mark.parametrize("complete", [True, False])
async def test_a_body_that_breaks_under_its_answer_ends_it(complete):
    async def app(_scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": b"part", "more_body": not complete})
        await receive()
        await receive()

    wire = Wire(app)
    answer = await wire.send(CHUNKED + b"1\r\nx\r\n", b"x")
    assert answer.endswith(b"\r\n\r\n4\r\npart\r\n" + b"0\r\n\r\n" * complete)
    assert wire.closed


# --- upgrades


def upgrading(request, protocol=b"h2c"):
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAM\r\nhost: a" % protocol
    return request.replace(b"host: a", wish)


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
@pytest.mark.parametrize(
    ("request_", "body"), [(GET, b""), (POST + b"foobar", b"foobar"), (CHUNKED + b"3\r\nfoo\r\n0\r\n\r\n", b"foo")]
)
async def test_who_wants_to_upgrade_is_answered_with_its_body_read(request_, body, upgrade):
    request = upgrading(request_, upgrade)
    for size in (1, 100, 1000):
        scopes = Scopes()
        wire = Wire(scopes)
        answers = await wire.send(*((request * 2)[at : at + size] for at in range(0, len(request) * 2, size)))
        assert answers == (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)) * 2
        assert [scope["path"] for scope in scopes] == ["/", "/"]
        assert b"upgrade" not in dict(scopes[0]["headers"])
        assert not wire.closed


async def test_what_follows_an_upgrade_in_http_1_0_is_nobodys():
    wire = Wire(scopes := Scopes())
    assert (await wire.send(upgrading(GET.replace(b"1.1", b"1.0")) + GET)).count(b"HTTP/1.1 200") == len(scopes) == 1
    assert wire.closed


async def test_tunnels_are_not_made():
    wire = Wire(scopes := Scopes())
    answer = await wire.send(b"CONNECT http://a/ HTTP/1.1\r\nhost: a\r\n\r\n" + GET)
    assert answer.count(b"HTTP/1.1") == 1
    assert wire.closed
    assert len(scopes) < 2


async def test_nothing_is_left_of_a_connection_that_said_nothing():
    wire = Wire(echo)
    await wire.leave()
    await settle()
    assert wire.protocol.connections == set()
