"""Prefill and decode pods, and what their engines answer."""

import json

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import PodInfo
from tests.support import JSON_HEADERS, FakeAnswer, Running, info

PD = {"profiles": {"default": {"routingStrategy": "pd"}}}
PARAMS = {
    "do_remote_prefill": True,
    "do_remote_decode": False,
    "remote_block_ids": [[1, 2, 4]],
    "remote_engine_id": "engine-7",
    "remote_host": "10.0.0.1",
    "remote_port": 5600,
}
WHOLE = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}],
    "kv_transfer_params": PARAMS,
}


def leg(number: int, role: str | None, roleset: str = "a", **changes) -> PodInfo:
    """A pod with a part; further labels as `labels`."""
    labels = {"role-name": role, "roleset-name": roleset} if role else {}
    return info(number, labels={**labels, **changes.pop("labels", {})}, **changes)


PAIR = [leg(1, "prefill"), leg(2, "decode")]


def answer(body=WHOLE, status=200, headers=JSON_HEADERS) -> FakeAnswer:
    """A whole answer at once."""
    return FakeAnswer(body if isinstance(body, bytes) else json.dumps(body).encode(), status=status, headers=headers)


class Engines:
    """What each pod answers by its number: a callable of the request; the default is a good prefill, a good decode."""

    def __init__(self, prefills=(1,), **steps):
        self.prefills = prefills
        self.steps = {int(number.removeprefix("pod")): list(what) for number, what in steps.items()}

    def __call__(self, request):
        number = int(request.address.host.rpartition(".")[2])
        if self.steps.get(number):
            return self.steps[number].pop(0)
        return answer() if number in self.prefills else FakeAnswer(b'{"ok": true}')


def disaggregated(script=None, pods=PAIR, **settings) -> Running:
    """A running gateway over pods with parts."""
    return Running(script or Engines(), pods=pods, config=settings.pop("config", PD), **settings)


def cannot_connect() -> UpstreamError:
    """No engine has heard of the request."""
    return UpstreamError("the engine cannot be reached", "connect")


def reset() -> UpstreamError:
    """An engine may have heard of the request."""
    return UpstreamError("the engine closed the connection", "reset")


def hosts(running: Running) -> list[int]:
    """The pods that were asked, by number, in order."""
    return [int(host.rpartition(".")[2]) for host in running.upstream.hosts]


async def fallbacks(running: Running) -> dict[tuple[str, ...], int]:
    """Requests that one pod served alone, by model and reason."""
    return await running.counted("aibrix_gateway_pd_fallback_total", "model", "reason")
