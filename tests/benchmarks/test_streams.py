"""What is said of idle streams, and that a stream is one only with an answer's first byte."""

import dataclasses

import pytest

from tests.upstream.raw_engine import RawEngine

from .holding import Held, Stream
from .scanner import AnswerError
from .streams import say

MIB = 2**20
GOOD = Held([0.009, 0.002], [0.006, 0.010], 1e-4, 1e-4, 60 * MIB, 820 * MIB, 200 * MIB, 8000, 3.0)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, None),
        ({"open": 7999}, "all 8,000 stay open"),
        ({"rss_beside": 820 * MIB + 1}, "at most 820.0 MiB"),
        ({"beside": [0.0061, 0.007]}, "best p99 3.05 times"),
    ],
)
def test_each_maximum_is_held_up_to_its_value(changes, broken, capsys):
    assert say(dataclasses.replace(GOOD, **changes), 8000) is (broken is None)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("BROKEN")]
    assert [line for line in lines if broken is not None and line.startswith(broken)] == lines


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n5\r\n", None),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "closed a connection"),
    ],
)
async def test_a_stream_begins_with_its_first_byte(answer, error):
    async def answering(peer):
        await peer.head()
        await peer.send(answer)
        if error is None:
            await peer.until_gone()
        peer.close()

    async with RawEngine(answering) as engine:
        begun = Stream.begun(engine.address.port, b"GET / HTTP/1.1\r\n\r\n")
        if error:
            with pytest.raises(AnswerError, match=error):
                await begun
        else:
            stream, seconds = await begun
            assert (stream.alive, seconds > 0) == (True, True)
            stream.close()
