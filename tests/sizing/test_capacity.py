"""Real load on real sockets finds the capacity that is computed in virtual time: `make test-size`, about ten minutes.

What it wants is a machine that does nothing else: a capacity that neighbours take away is not there to be found.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.ports import free_port
from tests.sizing.virtual import Queue, capacity, engine_first_tokens, poisson

pytestmark = pytest.mark.skipif("SIZE_TESTS" not in os.environ, reason="minutes of load: make test-size")

REQUESTS = 50_000
SETTINGS = {
    "decode takes most of the time": Queue(40, 0.2, 9, 0.1),
    "prefill takes most of the time": Queue(16, 0.3, 3, 0.05),
    "many places, long answers": Queue(64, 0.4, 13, 0.1),
}


@contextmanager
def served(queue):
    """The engine in a process of its own; gives its URL."""
    port = free_port()
    options = queue.options()
    words = {
        "--port": port,
        "--max-running": options.max_running,
        "--prefill-tokens-per-second": options.prefill_tokens_per_second,
        "--decode-tokens-per-second": options.decode_tokens_per_second,
    }
    command = [sys.executable, "-m", "aibrix_mw", "engine", "--model", "m"]
    child = subprocess.Popen([*command, *(str(word) for pair in words.items() for word in pair)])
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:  # each waits twice as long as the last
            assert client.get(f"{url}/health", timeout=30).status_code == 200
        yield url
    finally:
        child.terminate()
        child.wait()


@pytest.mark.parametrize("queue", SETTINGS.values(), ids=SETTINGS)
def test_the_capacity_of_a_served_engine_is_found(queue, capfd):
    with served(queue) as url:
        begun = time.monotonic()
        command = [sys.executable, "-m", "aibrix_mw", "size", url, "--model", "m", "--target-rps", "100", "--json"]
        lengths = ["--prompt-tokens", "512", "--output-tokens", str(queue.tokens), "--step-duration", "18"]
        found = subprocess.run([*command, *lengths], stdout=subprocess.PIPE, check=True)
        seconds = time.monotonic() - begun
    run = json.loads(found.stdout)["runs"]["replica"]
    bound, estimate = run["bounds"]["first_token"], run["estimate"]
    truth = capacity(queue, bound)
    late = [_late_share(queue, factor * truth, bound) for factor in (0.99, 1.02)]
    with capfd.disabled():
        print(  # noqa: T201
            f"\n{queue}: computed {truth:.2f}/s, found {estimate['rate']:.2f}/s ({estimate['rate'] / truth - 1:+.1%}), "
            f"95 % interval {estimate['low']:.2f} to {estimate['high']:.2f}, bound {bound:.3f} s, {seconds:.0f} s, "
            f"load average {os.getloadavg()[1]:.1f}"
        )
    assert truth >= 30
    assert late[0] <= 0.05 < late[1]  # the engine itself, in virtual time, agrees with what was computed
    assert estimate["rate"] == pytest.approx(truth, rel=0.1)
    assert estimate["low"] <= truth <= estimate["high"]
    assert run["reason"]["kind"] == "first_token"
    assert seconds < 240


def _late_share(queue, rate, bound):
    """Of so many requests to the simulated engine's own scheduler, those with too late a first token."""
    times = engine_first_tokens(queue, poisson(rate, REQUESTS, seed=0))
    return sum(time > bound for time in times) / REQUESTS
