"""One soak: rounds of traffic and trouble, a rest after each, and what all of it comes to."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from tests.soak.accounts import Check, compare, read_log
from tests.soak.kinds import everything
from tests.soak.rest import Rest, at_rest, come_to_rest, flat, left_over
from tests.soak.seen import Seen
from tests.soak.stage import Stage
from tests.soak.traffic import Crowd
from tests.soak.trouble import Trouble

ROUNDS = 6
"""Memory after the first third of them is compared with memory after the last."""
SETTLED = 3.0
"""Seconds after which an idle connection to an engine is closed, and each engine is asked for its metrics."""


class Terms(NamedTuple):
    """How long and how hard: seconds of traffic in all, chance, clients, seconds between faults.

    `python` serves the gateway, with comments after `keepalive` seconds without a first byte; 0: none.
    """

    seconds: float
    seed: str = "0"
    clients: int = 24
    every: float = 5.0
    rounds: int = ROUNDS
    python: str = sys.executable
    keepalive: float = 0.0


class Soaked(NamedTuple):
    """What has been: every request, every fault and when it was, each rest."""

    seen: list[Seen]
    faults: list[tuple[float, str]]
    base: Rest
    rests: list[Rest]
    checks: list[Check]


class Soak:
    """Runs once; the clock starts with the first round."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self.terms = terms
        self.stage = Stage(folder, terms.python, terms.keepalive)
        self.seen: list[Seen] = []
        self.faults: list[tuple[float, str]] = []

    async def run(self) -> Soaked:
        """Everything, from the start of the processes to their end."""
        try:
            await self.stage.open()
            async with httpx.AsyncClient(timeout=30) as http:
                begun = time.monotonic()
                base = await self._base(begun, http)
                rests = await self._rounds(begun, base, http)
        except BaseException:
            self.stage.close()
            raise
        status = self.stage.close()
        checks = [*self._checks(base, rests), Check("the gateway ends in good order", status == 0, f"status {status}")]
        return Soaked(self.seen, self.faults, base, rests, checks)

    async def _base(self, begun: float, http: httpx.AsyncClient) -> Rest:
        """Before the first round, when everything that runs in the background has begun to."""
        crowd = Crowd(f"{self.terms.seed}-first", self.stage.gateway.port, 0, begun)
        for kind in everything():
            crowd.rush(kind, 1)
            await crowd.go()
        self.seen += crowd.seen
        await asyncio.sleep(SETTLED)
        return await come_to_rest(self.stage, http)

    async def _rounds(self, begun: float, base: Rest, http: httpx.AsyncClient) -> list[Rest]:
        """The gateway after each round; what is left over once stays, so none follows then."""
        rests: list[Rest] = []
        for number in range(self.terms.rounds):
            rests.append(await self._round(number, begun, base, http))
            if not at_rest(rests[-1], base, self.stage):
                break
        return rests

    async def _round(self, number: int, begun: float, base: Rest, http: httpx.AsyncClient) -> Rest:
        terms = self.terms
        crowd = Crowd(f"{terms.seed}-{number}", self.stage.gateway.port, terms.clients, begun)
        trouble = Trouble(self.stage, crowd, Random(f"{terms.seed} trouble {number}"), terms.every)
        crowd.come()
        await trouble.run(terms.seconds / terms.rounds)
        await trouble.end()
        await crowd.go()
        self.seen += crowd.seen
        self.faults += trouble.log
        return await come_to_rest(self.stage, http, base)

    def _checks(self, base: Rest, rests: list[Rest]) -> Iterator[Check]:
        last = rests[-1]
        lines = read_log(self.stage.gateway.output)
        yield from compare(self.seen, lines, last.exposition.requests())
        yield from left_over(last, base, self.stage)
        if len(rests) == self.terms.rounds > 1:
            yield from flat(rests[(len(rests) - 1) // 3], last)
