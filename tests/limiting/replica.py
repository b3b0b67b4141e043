"""One gateway of several: asks more than the limit in every second, and tells how many passed in which.

python -m tests.limiting.replica URL SECONDS_OF_SKEW WINDOWS
"""

import asyncio
import json
import sys
import time
from collections import Counter

from tests.support import Client, Running

LIMIT, BURST = 100, 250


async def main(url: str, skew: float, windows: int) -> Counter[int]:
    honest = time.time
    time.time = lambda: honest() + skew
    passed: Counter[int] = Counter()
    config = {"profiles": {"default": {"requestsPerSecond": LIMIT}}}
    # a neighbour that takes the processor for a while must not look like a store that is away
    async with Running(config=config, store={"url": url, "timeout": 5.0}) as gateway:
        limiter = gateway.gateway.counting.limiter
        while len(passed) < windows:
            clients = [Client(gateway.gateway) for _ in range(BURST)]
            replies = await asyncio.gather(*(client.ask() for client in clients))
            for client, reply in zip(clients, replies, strict=True):
                assert reply.status in {200, 429}
                hit = client.scope.get("aibrix_mw.limit_hit")
                if hit is not None:
                    assert hit.counter is limiter.windows
                    passed[hit.windows[0]] += 1
            seconds, micros = await limiter.windows.client.time()
            passed[seconds] += 0
            await asyncio.sleep(1 - micros / 1e6)  # until the store's next second
    return passed


if __name__ == "__main__":
    counts = asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(counts))
