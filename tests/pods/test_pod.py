import asyncio
from typing import Any

import pytest

from aibrix_mw.pods.pod import Address, Pod, PodInfo


def info(**changes):
    fields: dict[str, Any] = {"uid": "u", "name": "engine-0", "namespace": "ns", "model": "m"}
    return PodInfo(**{"address": Address("10.0.0.1", 8000)} | fields | changes)


@pytest.mark.parametrize(
    ("address", "netloc"),
    [
        (Address("10.0.0.1", 8000), "10.0.0.1:8000"),
        (Address("fd00::7", 80), "[fd00::7]:80"),
        (Address("engine.example.org", 443, tls=True), "engine.example.org:443"),
    ],
)
def test_netloc(address, netloc):
    assert address.netloc == netloc


def test_headers_name_the_pod_and_follow_its_description():
    pod = Pod(info())
    assert pod.host_header == b"10.0.0.1:8000"
    assert pod.answer_headers == ((b"target-pod", b"engine-0"), (b"target-pod-ip", b"10.0.0.1:8000"))
    pod.describe(info(name="gerät", address=Address("fd00::7", 81)))
    assert pod.answer_headers == ((b"target-pod", b"ger%C3%A4t"), (b"target-pod-ip", b"[fd00::7]:81"))
    assert pod.address == Address("fd00::7", 81)
    assert repr(pod) == "Pod(ns/gerät, in_flight=0)"


def test_a_pod_without_an_address_has_no_host():
    pod = Pod(info(address=None, excluded="no_address"))
    assert pod.host_header == b""
    with pytest.raises(AssertionError):
        _ = pod.address


def test_a_lease_counts_until_its_end_also_on_an_error():
    pod = Pod(info())
    with pod.lease(), pod.lease():
        assert pod.in_flight == 2
    with pytest.raises(RuntimeError), pod.lease():
        raise RuntimeError
    assert pod.in_flight == 0


async def test_a_cancelled_request_gives_its_lease_back():
    pod = Pod(info())

    async def request():
        with pod.lease():
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    assert pod.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pod.in_flight == 0


# --- what leases write


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def outstanding(pod):
    return (pod.in_flight, pod.outstanding_tokens, pod.outstanding_uncached)


def test_prompt_tokens_are_outstanding_until_the_first_byte():
    pod, clock = Pod(info()), Clock()
    with pod.lease(1000, 0.75, clock) as lease:
        assert outstanding(pod) == (1, 1000, 250)
        clock.now += 0.5
        lease.first_byte(streamed=True)
        lease.first_byte(streamed=True)
        assert outstanding(pod) == (1, 0, 0)
    assert outstanding(pod) == (0, 0, 0)
    assert pod.latency.first_token.read(clock.now) == 0.5 / 250


def test_without_a_first_byte_the_end_gives_them_back():
    pod = Pod(info())
    with pod.lease(1000):
        assert outstanding(pod) == (1, 1000, 1000)
    assert outstanding(pod) == (0, 0, 0)
    assert pod.latency.first_token.read(0.0) is None


def test_an_answer_that_is_no_stream_says_nothing_of_first_tokens():
    pod = Pod(info())
    with pod.lease(1000) as lease:
        lease.first_byte(streamed=False)
    assert pod.latency.first_token.read(0.0) is None


def test_the_first_of_a_streams_tokens_is_not_in_its_time():
    pod, clock = Pod(info()), Clock()
    with pod.lease(clock=clock) as lease:
        lease.output(2.0, 101)
    assert pod.latency.output_token.read(clock.now) == 0.02


def test_who_wants_to_know_of_the_first_byte_is_told_once():
    heard = []
    with Pod(info()).lease() as lease:
        lease.answered = lambda: heard.append(1)
        lease.first_byte(streamed=True)
        lease.first_byte(streamed=True)
    assert heard == [1]
