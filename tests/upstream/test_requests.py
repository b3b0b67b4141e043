"""What engines see of a request: the bytes on the wire."""

from typing import Any

import pytest

from aibrix_mw.upstream.base import Upstream
from tests.upstream.asking import OK, ask, fetch, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, answering


async def pieces(*parts: bytes):
    for part in parts:
        yield part


async def test_head_and_body_are_exactly_what_was_asked(upstream: Upstream, run: Engines):
    engine = await run(answering(OK))
    headers = [(b"content-type", b"application/json"), (b"x-b", b"1"), (b"x-a", b""), (b"x-b", "ü".encode())]
    await fetch(upstream, engine, body=b'{"a": 1}', host=b"pod:8000", target=b"/v1/x?a=1&b=%20", headers=headers)
    assert engine.requests == [
        [
            b"POST /v1/x?a=1&b=%20 HTTP/1.1\r\nhost: pod:8000\r\ncontent-type: application/json\r\nx-b: 1\r\n"
            b"x-a: \r\nx-b: \xc3\xbc\r\ncontent-length: 8\r\n\r\n" + b'{"a": 1}'
        ]
    ]


@pytest.mark.parametrize("target", [b"/a/../b", b"//a", b"/a%2fb?", b"/a?x=%zz|\"{}'", b"/a?b?c"])
async def test_a_target_is_not_normalised(upstream: Upstream, run: Engines, target: bytes):
    engine = await run(answering(OK))
    await fetch(upstream, engine, target=target)
    assert engine.requests[0][0].startswith(b"POST " + target + b" HTTP/1.1\r\n")


async def test_an_empty_body_has_a_length(upstream: Upstream, run: Engines):
    engine = await run(answering(OK))
    await fetch(upstream, engine, body=b"")
    assert engine.requests[0][0].endswith(b"\r\ncontent-length: 0\r\n\r\n")


async def test_a_rest_of_unknown_length_goes_in_chunks(upstream: Upstream, run: Engines):
    engine = await run(answering(OK))
    await fetch(upstream, engine, body=b"begin", rest=pieces(b"", b"middle", b"", b"end"))
    _, _, body = engine.requests[0][0].partition(b"\r\ntransfer-encoding: chunked\r\n\r\n")
    assert body == b"5\r\nbegin\r\n6\r\nmiddle\r\n3\r\nend\r\n0\r\n\r\n"


async def test_a_rest_of_known_length_goes_as_it_is(upstream: Upstream, run: Engines):
    engine = await run(answering(OK))
    await fetch(upstream, engine, body=b"begin", rest=pieces(b"", b"end"), length=8)
    assert engine.requests[0][0].endswith(b"\r\ncontent-length: 8\r\n\r\nbeginend")


@pytest.mark.parametrize("parts", [(b"POST / HTTP/1.1\r\n\r\n",), (b"en",)], ids=["longer", "shorter"])
async def test_a_rest_must_be_as_long_as_announced(upstream: Upstream, run: Engines, parts: tuple[bytes]):
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.until_gone()
        peer.requests.append(bytes(peer._rest))

    engine = await run(script)
    with pytest.raises(ValueError, match="as long as announced"):
        await fetch(upstream, engine, body=b"begin", rest=pieces(*parts), length=8)
    peer = await engine.peer()
    await peer.gone.wait()
    assert b"POST" not in peer.requests[0]


@pytest.mark.parametrize("size", [262144, 262145, 1_000_000])
async def test_a_large_body_arrives_whole(upstream: Upstream, run: Engines, size: int):
    engine = await run(answering(OK))
    body = bytearray(bytes(range(256)) * (size // 256 + 1))[:size]
    await fetch(upstream, engine, body=body)
    assert engine.requests[0][0].endswith(b"\r\ncontent-length: %d\r\n\r\n%b" % (size, bytes(body)))
    body.clear()  # nobody holds on to it


@pytest.mark.parametrize("bad", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"])
@pytest.mark.parametrize("place", ["value", "name", "target", "host"])
async def test_line_breaks_in_a_head_are_refused_and_nothing_is_sent(
    upstream: Upstream, run: Engines, bad: bytes, place: str
):
    engine = await run(answering(OK))
    places: dict[str, dict[str, Any]] = {
        "value": {"headers": [(b"x-a", bad)]},
        "name": {"headers": [(bad, b"1")]},
        "target": {"target": b"/" + bad},
        "host": {"host": bad},
    }
    with pytest.raises(ValueError, match="line break"):
        await upstream.send(ask(engine.address, **places[place]), within())
    assert engine.peers == []


async def test_what_the_source_of_the_body_raises_comes_through(upstream: Upstream, run: Engines):
    async def broken():
        yield b"begin"
        raise TimeoutError("the client is slow")

    async def script(peer: Peer) -> None:
        await peer.until_gone()

    engine = await run(script)
    with pytest.raises(TimeoutError, match="the client is slow"):
        await upstream.send(ask(engine.address, rest=broken()), within())
    await (await engine.peer()).gone.wait()
