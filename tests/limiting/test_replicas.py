"""Several gateway processes over one store: exactly the limit passes, whatever their clocks say."""

import asyncio
import json
import sys
from collections import Counter

import pytest

from tests.limiting.replica import LIMIT

pytestmark = pytest.mark.slow


async def run_replica(url, skew, windows):
    command = [sys.executable, "-m", "tests.limiting.replica", url, str(skew), str(windows)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    assert child.returncode == 0
    return {int(window): count for window, count in json.loads(output).items()}


@pytest.mark.parametrize(("skews", "windows"), [((0, 0, 0, 0), 12), ((0, 5, -5, 5), 4)])
async def test_exactly_the_limit_in_every_window(servers, skews, windows):
    """F54 and F60: a thousand requests at once, ten windows in a row."""
    url = servers().connection_url
    total: Counter[int] = Counter()
    for counts in await asyncio.gather(*(run_replica(url, skew, windows) for skew in skews)):
        total.update(counts)
    numbers = sorted(total)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    whole = numbers[1:-1]  # the first and the last one may have begun or ended while nobody asked
    assert len(whole) >= windows - 2
    asked = [number for number in whole if total[number]]  # on a busy machine nobody may come to it for a second
    assert len(asked) >= windows // 2
    assert {total[number] for number in asked} == {LIMIT}
    assert max(total.values()) == LIMIT
