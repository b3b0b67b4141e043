"""Refusals of what never becomes a request of the application's are counted like all others."""

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.server import Server
from aibrix_mw.server.bounds import Bounds
from tests.server.wire import CHUNKED, GET, Wire, echo, settle
from tests.support import ask

MANY = GET.replace(b"/", b"/v1/messages?key=x", 1).replace(b"\r\n\r\n", b"\r\na: b" * 101 + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        ([MANY], [(431, "/v1/messages")]),
        ([b"\x16\x03\x01"], [(400, "")]),
        ([GET], []),
        ([CHUNKED, b"zz"], []),  # a request of the application's, which hears that its client has gone
    ],
)
async def test_refusals_are_heard(sent, heard):
    told = []
    wire = Wire(echo, bounds=Bounds(refused=lambda *refusal: told.append(refusal)))
    await wire.send(*sent)
    await settle()
    assert told == heard


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_served_gateway_tells_of_them(enabled):
    gateway = create_app({"metrics": {"enabled": enabled}})
    refused = Server(gateway).client.bounds.refused
    assert refused is not None
    refused(431, "/v1/messages")
    (found,) = gateway.refusals.last()
    assert (found.outcome, found.status, found.path) == ("bad_request", 431, "/v1/messages")
    if enabled:
        text = (await ask(gateway.admin, path="/metrics", method="GET")).body.decode()
        assert 'requests_total{code="431",model="_unknown",outcome="bad_request",profile=""} 1.0' in text
