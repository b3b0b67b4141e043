"""Requests that did not end well are noted without metrics, too."""

import pytest

from aibrix_mw.middleware.refusals import RefusalsMiddleware
from aibrix_mw.outcome import Outcome
from aibrix_mw.refusals import Refusals
from aibrix_mw.scope import OUTCOME
from tests.support import Running, ask


def ending(outcome, error=None):
    async def app(scope, receive, send):
        if outcome is not None:
            OUTCOME.put(scope, outcome)
        if error is not None:
            raise error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize(
    ("outcome", "noted"),
    [(None, []), (Outcome(name="ok", status=200), []), (Outcome(name="limited", status=429), ["limited"])],
)
async def test_what_is_noted(outcome, noted):
    refusals = Refusals()
    await ask(RefusalsMiddleware(ending(outcome), refusals=refusals))
    assert [found.outcome for found in refusals.last()] == noted


async def test_a_request_whose_client_has_left():
    refusals = Refusals()
    left = ending(Outcome(name="client_cancelled", status=499), OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await ask(RefusalsMiddleware(left, refusals=refusals))
    assert [found.outcome for found in refusals.last()] == ["client_cancelled"]


@pytest.mark.parametrize("enabled", [True, False])
async def test_in_a_gateway_with_and_without_metrics(enabled):
    async with Running(metrics={"enabled": enabled}) as running:
        await running.ask()
        await running.ask(b'{"model": "no-such"}')
        (found,) = running.gateway.refusals.last()
    assert (found.outcome, found.status, found.model) == ("unknown_model", 404, None)
