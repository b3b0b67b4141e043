"""Clients that ask on and on, each with chance of its own, and what they saw."""

import asyncio
import time
from random import Random

from tests.soak.kinds import draw, slow_reader, whole
from tests.soak.plans import Kind, Plan
from tests.soak.seen import Seen, is_late, outcomes
from tests.soak.wire import Answer, Line

THINKING = 0.3
"""Mean seconds between an answer and the next request of a client."""


class Client:
    """One client with a connection that it keeps as long as it is kept."""

    def __init__(self, crowd: "Crowd", name: str) -> None:
        self.crowd = crowd
        self.name = name
        self.rng = Random(f"{crowd.seed} {name}")
        self.line: Line | None = None
        self.using: Line | None = None
        self.asked = 0
        self.kicked = False

    async def run(self) -> None:
        """Ask until the crowd is sent home."""
        while not self.crowd.over.is_set():
            await self.ask(draw)
            await asyncio.sleep(self.rng.expovariate(1 / THINKING))
        self.hang_up()

    async def ask(self, kind: Kind) -> None:
        """One request; what was seen of it is noted."""
        self.asked += 1
        request_id = f"{self.name}-{self.asked}"
        plan = kind(self.rng, request_id)
        at = time.monotonic() - self.crowd.begun
        self.kicked = False
        answer, left = await self._exchange(plan)
        self.crowd.seen.append(judge(plan, request_id, at, answer, left))

    async def _exchange(self, plan: Plan) -> tuple[Answer, bool]:
        """The answer as far as it came, and whether the client left before its end."""
        answer = Answer()
        line = await self._line(plan)
        self.using = line
        left = False
        try:
            await line.send(plan.pieces, plan.pause)
            async with asyncio.timeout(plan.stay):
                await line.read(answer, pace=plan.pace, upto=plan.upto)
            left = not answer.complete and (self.kicked or answer.size >= plan.upto)
        except TimeoutError:
            left = True
        finally:
            self.using = None
            if plan.fresh or not answer.keeps:
                line.leave()
                self.line = None if line is self.line else self.line
        return answer, left

    async def _line(self, plan: Plan) -> Line:
        if plan.fresh:
            return await Line.open(self.crowd.port, small=plan.pace > 0)
        if self.line is None:
            self.line = await Line.open(self.crowd.port)
        return self.line

    def leave(self) -> None:
        """Leave in the middle of whatever there is."""
        if self.using is not None:
            self.kicked = True
            self.using.leave()

    def hang_up(self) -> None:
        """Close the connection that is kept."""
        if self.line is not None:
            self.line.leave()
            self.line = None


def judge(plan: Plan, request_id: str, at: float, answer: Answer, left: bool) -> Seen:
    """What a client can tell of its request."""
    known_as = request_id if plan.lined else None
    if left:
        return Seen(known_as, plan.kind, at, answer.status, plan.left, left=True)
    try:
        may, wrong = outcomes(answer), ""
    except (ValueError, KeyError) as error:
        may, wrong = frozenset(), f"{error} (status {answer.status}, {answer.size} bytes, {answer.tail[-80:]!r})"
    if not plan.lined and may != plan.left:
        wrong = wrong or f"{plan.kind} was answered with {answer.status}"
    return Seen(known_as, plan.kind, at, 0 if is_late(answer) else answer.status, may, wrong=wrong)


class Crowd:
    """So many clients of the gateway at a port; `seen` is what all of them saw since the crowd came."""

    def __init__(self, seed: str, port: int, size: int, begun: float) -> None:
        self.seed = seed
        self.port = port
        self.size = size
        self.seen: list[Seen] = []
        self.begun = begun
        self.over = asyncio.Event()
        self.clients: list[Client] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._guests = 0

    def come(self) -> None:
        """Begin to ask."""
        self.clients = [Client(self, f"{self.seed}-{number}") for number in range(self.size)]
        self.tasks = [asyncio.create_task(client.run()) for client in self.clients]

    async def go(self) -> None:
        """Ask nothing more; what is under way comes to its end. Raises what a client did not expect."""
        self.over.set()
        await asyncio.gather(*self.tasks)

    def leave(self) -> None:
        """Every client drops what it has under way."""
        for client in self.clients:
            client.leave()

    def rush(self, kind: Kind, guests: int) -> None:
        """So many further clients ask once, at the same time."""
        for _ in range(guests):
            self._guests += 1
            self.tasks.append(asyncio.create_task(self._visit(Client(self, f"{self.seed}-guest{self._guests}"), kind)))

    async def _visit(self, client: Client, kind: Kind) -> None:
        await client.ask(kind)
        client.hang_up()


FLOOD, SLOW = whole, slow_reader
"""What a flood asks for, and whoever does not read."""
