"""An answer means the same however the network cuts it."""

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.httpx import HttpxUpstream
from tests.upstream.asking import CHUNKED, HEAD, fetch
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import RawEngine, answering

ANSWERS = [
    (b"HTTP/1.1 100 C\r\n\r\n" + HEAD + b"Content-Length: 7\r\n\r\nda\r\n\r\nt", b"da\r\n\r\nt"),
    (CHUNKED + b"3;x=y\r\nda\n\r\n9\r\n: {\xff\r\n}\n\n\r\n0\r\nt: 1\r\n\r\n", b"da\n: {\xff\r\n}\n\n"),
]


async def test_at_every_byte(upstream: Upstream, run: Engines):
    cut = [(answer[:at], answer[at:]) for answer, _ in ANSWERS for at in range(1, len(answer))]
    engine = await run(answering(*cut))
    for pieces in cut:
        answer, body = await fetch(upstream, engine)
        assert (answer.status, body) == (200, dict(ANSWERS)[b"".join(pieces)])
    assert len(engine.peers) == 1


async def test_into_single_bytes(upstream: Upstream, run: Engines):
    engine = await run(answering(*([bytes([byte]) for byte in answer] for answer, _ in ANSWERS)))
    for _, expected in ANSWERS:
        assert (await fetch(upstream, engine))[1] == expected


@st.composite
def cut_answers(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """An answer with any body in any framing, cut anywhere."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    body = b"".join(chunks)
    if draw(st.booleans()):
        answer = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    else:
        answer = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(draw(st.sets(st.integers(1, len(answer) - 1), max_size=8)))
    return [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)], body


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=cut_answers())
async def test_any_body_cut_anywhere(cut: tuple[list[bytes], bytes]):
    pieces, body = cut
    async with RawEngine(answering(pieces)) as engine:
        for upstream in (Http1Upstream(), HttpxUpstream(httpx.AsyncHTTPTransport(verify=False))):
            answer, content = await fetch(upstream, engine)
            assert (content, answer.ended) == (body, True)
            await upstream.aclose()
