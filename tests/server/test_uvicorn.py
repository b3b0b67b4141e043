"""Random requests, cut anywhere, and random applications: what is on the wire is what uvicorn's own protocol writes."""

import random

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aibrix_mw.server.protocol import GatewayProtocol
from tests.server.wire import BODY, Wire, read_all, settle, start

ALPHABET = b"abc\r\n0"


def request(rng):
    """One well-formed request of HTTP/1.1; uvicorn sends chunks to HTTP/1.0 too, and takes trailers for headers."""
    method = rng.choice(["GET", "HEAD", "POST", "PUT"])
    fields, body = ["host: a"], b""
    if rng.random() < 0.1:
        fields.append(f"connection: {rng.choice(['close', 'keep-alive', 'Close'])}")
    if method in {"POST", "PUT"}:
        content = bytes(rng.choices(ALPHABET, k=rng.choice([0, 1, 5, 300])))
        if rng.random() < 0.5:
            fields.append(f"content-length: {len(content)}")
            body = content
        else:
            fields.append("transfer-encoding: chunked")
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut(content, rng, 100)) + b"0\r\n\r\n"
    target = rng.choice(["/", "/a?b", "/%41", "http://h/x"])
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode() + body


def cut(data, rng, most):
    """The same bytes in random pieces."""
    at = 0
    while at < len(data):
        size = rng.randint(1, most)
        yield data[at : at + size]
        at += size


def application(seed):
    """One that reads or not, answers with a length or in chunks, in one piece or many, and sometimes breaks."""

    async def app(scope, receive, send):
        rng = random.Random(f"{seed} {scope['method']} {scope['path']}")
        body = await read_all(receive) if rng.random() < 0.7 else b"xxx"
        status = rng.choice([200, 200, 200, 204, 304, 404, 500])
        headers = [(b"x-query", scope["query_string"]), (b"x-path", scope["raw_path"])]
        pieces = [] if status in {204, 304} else list(cut(body, rng, 100))
        if status not in {204, 304} and rng.random() < 0.5:
            headers.append((b"content-length", b"%d" % len(body)))
        if rng.random() < 0.05:
            headers.append((b"connection", b"close"))
        await send(start(*headers, status=status))
        for piece in pieces:
            await send({"type": BODY, "body": piece, "more_body": True})
            if rng.random() < 0.05:
                raise ValueError
        await send({"type": BODY})

    return app


async def seen(kind, seed):
    """What a client sees, and whether the connection is closed in the end."""
    rng = random.Random(seed)
    data = b"".join(request(rng) for _ in range(rng.randint(1, 4)))
    if rng.random() < 0.15:
        data = data[: rng.randrange(len(data))]
    wire = Wire(application(seed), kind=kind)
    wire.transport.write = lambda data: wire.transport.writes.append(data)  # uvicorn writes nothing, now and then
    for piece in cut(data, rng, rng.choice([3, 50, 5000])):
        if not wire.closed:
            wire.protocol.data_received(piece)
            await settle()
    outcome = wire.taken(), wire.closed
    await wire.leave()
    return outcome


@pytest.mark.parametrize("hundred", range(3))
async def test_as_under_uvicorn(hundred):
    for seed in range(100 * hundred, 100 * (hundred + 1)):
        ours = await seen(GatewayProtocol, seed)
        assert ours == await seen(HttpToolsProtocol, seed), seed
        assert ours[0].startswith(b"HTTP/1.1 ") or not ours[0]
