"""Heads on the wire: what is dropped, what is too large, who is invited to send a body (F6 to F10, F17, F18)."""

import asyncio
import json
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from aibrix_mw.headers import HOP_BY_HOP
from aibrix_mw.keys import hash_of
from tests.faults.raw import BODY, CHAT_LINE, OK, PATIENCE, ROWS, chat, gateway, status_of
from tests.upstream.raw_engine import answering

CONTINUE = b"100 Continue"
CLOSE = "Connection: close"


def fields_of(request):
    head = request.partition(b"\r\n\r\n")[0]
    return [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]


async def test_f06_nothing_of_one_hop_reaches_the_other_side():
    names = [name.decode() for name in HOP_BY_HOP - {b"transfer-encoding", b"connection", b"upgrade"}]
    headers = b"".join(b"%b: x\r\n" % name for name in HOP_BY_HOP - {b"transfer-encoding", b"connection"})
    engine = OK.replace(b"content-type", headers + b"connection: x-bar\r\nx-bar: 1\r\nx-kept: 1\r\ncontent-type")
    async with gateway(answering(engine)) as served:
        hop = [f"{name}: x" for name in names]
        answer = await served.ask(chat("Connection: X-Foo, keep-alive", "X-Foo: 1", "X-Bar: 1", *hop))
        assert status_of(answer) == 200
        sent, got = dict(fields_of(served.seen[0])), dict(fields_of(answer))
    assert len(HOP_BY_HOP) == 9
    assert not HOP_BY_HOP & {name.lower() for name in sent}
    assert (b"x-foo" in sent, sent[b"x-bar"]) == (False, b"1")
    assert not HOP_BY_HOP & got.keys()
    assert (b"x-bar" in got, got[b"x-kept"]) == (False, b"1")


@pytest.mark.parametrize("server", ["ours", "h11"])
async def test_f08_look_alikes_of_trusted_names_are_dropped(server):
    forged = ["X_Forwarded_For: 1.1.1.1", "x-forwarded_for: 1.1.1.1", "X_Request_Id: forged", "target_pod: x"]
    framing = ["Content_Length: 3", "Transfer_Encoding: chunked", "x_api_key: forged"]
    async with gateway(server=server) as served:
        answer = await served.ask(chat(*forged, *framing, "X-Request-Id: mine", "my_own: 1"))
        assert status_of(answer) == 200
        seen = served.seen[0]
        assert b"\r\nmy_own: 1\r\n" in seen
        assert [name for name, _ in fields_of(seen) if b"_" in name] == [b"my_own"]
        assert dict(fields_of(seen))[b"x-request-id"] == b"mine"
        assert dict(fields_of(seen))[b"x-forwarded-for"] == b"127.0.0.1"
        assert b"forged" not in seen


@pytest.mark.parametrize("model", ["a\r\nset-cookie: x=y", "a\r\n\r\nHTTP/1.1 200 OK", "a\0b", "a\nb", "\u2028"])
async def test_f09_a_reflected_name_splits_no_answer(model):
    body = json.dumps({"model": model})
    async with gateway() as served:
        answer = await served.ask(chat(CLOSE, body=body))
        assert status_of(answer) == 404
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert dict(fields_of(answer))[b"content-length"] == b"%d" % len(rest)
        assert json.loads(rest)["error"]["code"] == "model_not_found"
        assert b"set-cookie" not in [name for name, _ in fields_of(answer)]
        assert head.isascii()
        assert head.replace(b"\r\n", b"").decode().isprintable()


def large(size):
    """A request whose head has so many bytes."""
    head = len(chat()) - len(BODY)
    return chat("x: " + "x" * (size - head - 5))


@pytest.mark.parametrize(
    ("server", "refused"),
    [("ours", (431,)), ("h11", (400, 431))],  # h11 has a bound of its own, 64 KiB too
)
async def test_f10_heads_are_bounded(server, refused):
    async with gateway(server=server) as served:
        most = chat(*(f"x-{number}: 1" for number in range(98)))
        for request in (most, large(65_536) if server == "ours" else most):
            assert status_of(await served.ask(request)) == 200
        over = [chat(*(f"x-{number}: 1" for number in range(99))), large(65_537)]
        for request in [*over, large(1_000_000)] if server == "ours" else over:  # uvicorn resets who still sends
            answer = await served.ask(request)
            assert status_of(answer) in refused
            assert b"\r\nconnection: close\r\n" in answer.lower()
        assert len(served.seen) == 2


async def test_f10_a_head_that_never_ends():
    async with gateway() as served:
        assert status_of(await served.ask(large(65_541)[:65_537])) == 431
        assert served.seen == []


EXPECT = "Expect: 100-continue"
NOT_INVITED = {
    401: chat(EXPECT)[: -len(BODY)],
    404: chat(EXPECT, line="POST /metrics HTTP/1.1")[: -len(BODY)],
    405: chat(EXPECT, line="PUT /v1/chat/completions HTTP/1.1")[: -len(BODY)],
    413: chat(EXPECT, "x-api-key: sk-good", length=999_999_999)[: -len(BODY)],
    415: chat(EXPECT, "x-api-key: sk-good", "Content-Encoding: gzip")[: -len(BODY)],
    431: chat(EXPECT, *(f"x-{number}: 1" for number in range(99)))[: -len(BODY)],
}


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys.yaml").write_text(f"- {{name: al, sha256: {hash_of('sk-good')}}}\n")
    return {"auth": {"keys_file": str(tmp_path / "keys.yaml")}}


@pytest.mark.parametrize("status", NOT_INVITED)
async def test_f17_who_is_refused_by_the_head_is_not_invited(status, keys):
    async with gateway(**keys) as served:
        answer = await served.ask(NOT_INVITED[status])
        assert (status_of(answer), answer.count(b"HTTP/1.1 "), served.seen) == (status, 1, [])
        assert CONTINUE not in answer


async def test_f17_who_is_served_is_invited_first(keys):
    async with gateway(**keys) as served:
        request = chat(EXPECT, "x-api-key: sk-good", CLOSE)
        answer = await served.ask(request[: -len(BODY)])
        assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = await served.ask(request)  # who sends at once needs no invitation
        assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)


async def test_f17_a_429_comes_after_the_body_which_names_the_model():
    limited = {"profiles": {"default": {"requestsPerSecondPerReplica": 0.001}}}  # one an hour
    async with gateway(config=limited) as served, asyncio.timeout(PATIENCE):
        assert status_of(await served.ask(chat())) == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(chat(EXPECT, CLOSE)[: -len(BODY)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY.encode())
        assert status_of(await reader.read()) == 429
        writer.close()


HIDDEN = chat(line="POST /v1/embeddings HTTP/1.1").decode()


@pytest.mark.parametrize("server", ["ours", "h11"])
@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
async def test_f18_a_request_hidden_in_a_body_is_not_served(server, framing):
    """Who reads the one framing sees one request, who reads the other one two."""
    fields = [CHAT_LINE, "Host: gateway", framing, "Transfer-Encoding : chunked", "Transfer-Encoding: chunked"]
    request = "\r\n".join([*fields, "Content-Length: 5", "", "0", "", HIDDEN]).encode()
    async with gateway(server=server) as served:
        answer = await served.ask(request)
        assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (400, 1)
        assert served.seen == []


async def test_f18_a_request_within_a_body_is_a_body():
    body = json.dumps({"model": "m", "prompt": HIDDEN})
    async with gateway() as served:
        answer = await served.ask(chat(CLOSE, body=body))
        assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
        assert [request.partition(b"\r\n\r\n")[2].decode() for request in served.seen] == [body]
        assert await served.outcomes() == {("200", "ok"): 1}


@pytest.mark.parametrize(("fault", "forms"), [("F4", 6), ("F5", 4), ("F7", 8), ("F72", 10)])
def test_there_are_so_many_forms(fault, forms):
    assert len([row for row in ROWS if row.fault == fault]) >= forms


def test_f05_the_version_of_h11_has_a_floor():
    """Apps on uvicorn may be served with it; before 0.16 it took what is not the end of a chunk for one."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert "h11>=0.16" in project["dependencies"]
    assert tuple(map(int, version("h11").split(".")[:2])) >= (0, 16)
