"""A clock, and engines, in the hand of tests that scrape."""

import asyncio

from tests.support import settle

TEXT = b"vllm:kv_cache_usage_perc 0.25\n"


class Time:
    """A clock whose sleepers wake when the test says so."""

    def __init__(self):
        self.now = 0.0
        self.sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.Event()
        self.sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds):
        until = self.now + seconds
        await settle(20)
        while self.sleepers and min(at for at, _ in self.sleepers) <= until:
            self.sleepers.sort(key=lambda sleeper: sleeper[0])
            self.now, woken = self.sleepers.pop(0)
            woken.set()
            await settle(20)
        self.now = until


class Engines:
    """Answers by address; notes who was asked when."""

    def __init__(self, time, answers=None):
        self.time = time
        self.answers = {} if answers is None else answers
        self.asked = []

    async def __call__(self, address, path):
        self.asked.append((self.time.now, address.netloc, path))
        answer = self.answers.get(address.host, TEXT)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return TEXT
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, number):
        return [at for at, netloc, _ in self.asked if netloc == f"10.0.0.{number}:8000"]
