"""The simulation: gateways and engines on one loop, fed with a workload."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Self

import msgspec

from aibrix_mw.pods.scraper import STALE
from aibrix_mw.simulation.content import Content, content_of, request_of
from aibrix_mw.simulation.engine import Engine, EngineModel, Run
from aibrix_mw.simulation.gateway import Gateway, Passage
from aibrix_mw.simulation.loop import Loop
from aibrix_mw.simulation.records import Figures, Record, Sample, figures
from aibrix_mw.simulation.trace import Entry
from aibrix_mw.strategies.base import Strategy


class Restart(msgspec.Struct, frozen=True):
    """At an instant a new engine turns Ready in place of the one with this number, which only ends what it has."""

    time: float
    engine: int


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated. Every gateway scrapes every engine each `scrape_interval`, `scrape_delay` late; seconds.

    The first `prefills` engines are prefill pods and the others decode pods of one roleset, where that is not 0. A KV
    cache travels in `transfer_seconds` a prompt token: by default 128 KiB (8B model, 16 bit) at 25 GB/s.
    """

    engines: tuple[EngineModel, ...] = (EngineModel(),) * 8
    gateways: int = 3
    restarts: tuple[Restart, ...] = ()
    scrape_interval: float = 1.0
    scrape_delay: float = 0.02
    prefills: int = 0
    transfer_seconds: float = 131072 / 25e9

    def labels(self, uid: str) -> dict[str, str]:
        """Of the pod with this uid, which has the engine's number in its middle."""
        if not self.prefills:
            return {}
        role = "prefill" if int(uid.split("-")[1]) < self.prefills else "decode"
        return {"role-name": role, "roleset-name": "simulated"}


class Pick(msgspec.Struct, frozen=True, gc=False):
    """Which engine was chosen when, among how many."""

    time: float
    engine: str
    among: int


class Simulation:
    """One run of one strategy over one workload. `build` makes the strategy of the gateway with a number.

    It is an `Insight` of peers too: what engines' KV events would tell about the request that is being routed.
    """

    def __init__(
        self,
        fleet: Fleet,
        entries: Sequence[Entry],
        build: Callable[[Self, int], Strategy],
        *,
        seed: int = 0,
        progress: Callable[[int], None] = lambda ended: None,
    ) -> None:
        self.fleet = fleet
        self.loop = Loop()
        self.records: list[Record] = []
        self.samples: list[Sample] = []
        self.picks: list[Pick] = []
        self.engines: dict[str, Engine] = {}  # all that ever were
        self.ready_at: dict[str, float] = {}
        self._entries = entries
        self._progress = progress
        self._rng = Random(seed)
        (self._block_tokens,) = {model.block_tokens for model in fleet.engines}
        self._sessions: defaultdict[str, deque[Entry]] = defaultdict(deque)
        self._asked = Content(0, (), ())
        self._current: list[str] = []  # uids that take requests, by the engine's number
        self.gateways = [Gateway(build(self, number), self.loop, fleet.labels) for number in range(fleet.gateways)]

    def run(self) -> None:
        """Let all requests of the workload arrive and end."""
        self._current = [self._start(number) for number in range(len(self.fleet.engines))]
        for gateway in self.gateways:
            gateway.discover(self._current)
        for restart in self.fleet.restarts:
            self.loop.at(restart.time, self._restart, restart)
        self._end = self._entries[-1].arrival if self._entries else 0.0
        self.loop.at(0.0, self._sample)
        self._expect(0)
        self.loop.run()

    def figures(self, since: float = 0.0) -> Figures:
        """Sum up what arrived from an instant on."""
        records = [record for record in self.records if record.arrived >= since]
        samples = [sample for sample in self.samples if sample.time >= since]
        busy = sum(engine.counters.busy for engine in self.engines.values())
        return figures(records, samples, busy / max(self.loop.now * len(self.fleet.engines), 1e-9))

    def blocks(self) -> tuple[int, ...]:
        """Hashes of the KV blocks of the prompt that is being routed."""
        return self._asked.hashes

    def cached(self, uid: str) -> int:
        """How many leading ones of them an engine holds."""
        return self.engines[uid].kv.hits(self._asked.hashes)

    # --- requests

    def _expect(self, index: int) -> None:
        if index < len(self._entries):
            self.loop.at(self._entries[index].arrival, self._arrive, index)

    def _arrive(self, index: int) -> None:
        entry = self._entries[index]
        waiting = self._sessions[entry.session] if entry.session else deque[Entry]()
        waiting.append(entry)
        if len(waiting) == 1:
            self._ask(entry)
        self._expect(index + 1)

    def _ask(self, entry: Entry) -> None:
        number = int(self._rng.random() * len(self.gateways))
        gateway = self.gateways[number]
        self._asked = content = content_of(entry, self._block_tokens)
        passage = gateway.pass_on(request_of(entry))
        target = passage.target
        self.picks.append(Pick(self.loop.now, target.pod.uid, len(gateway.pods())))
        arrived, cached = self.loop.now, [0]
        whole = Run(
            content.prompt_tokens,
            entry.output,
            content.hashes,
            content.all_hashes,
            lambda run: passage.first_token(),
            lambda run: self._ended(run, entry, number, passage, arrived, cached[0] or run.cached),
            transferred=target.prefill is not None,
        )
        if target.prefill is None:
            self.engines[target.pod.uid].submit(whole)
            return

        def prefilled(run: Run) -> None:
            passage.prefilled()
            cached[0] = run.cached
            assert target.prefill is not None
            self._retire(target.prefill.uid)
            delay = self.fleet.transfer_seconds * run.prompt_tokens
            self.loop.at(self.loop.now + delay, self.engines[target.pod.uid].submit, whole)

        first = Run(content.prompt_tokens, 1, content.hashes, content.hashes, lambda run: None, prefilled)
        self.engines[target.prefill.uid].submit(first)

    def _ended(self, run: Run, entry: Entry, gateway: int, passage: Passage, arrived: float, cached: int) -> None:
        passage.ended(run.prompt_tokens, run.output_tokens)
        times = (arrived, run.first_at, self.loop.now)
        lengths = (run.prompt_tokens, cached, run.output_tokens)
        self.records.append(Record(entry.user, gateway, passage.target.pod.uid, *times, *lengths))
        self._retire(passage.target.pod.uid)
        self._progress(len(self.records))
        waiting = self._sessions.get(entry.session)
        if waiting:
            waiting.popleft()
            if waiting:
                self._ask(waiting[0])

    # --- engines

    def _start(self, number: int, generation: int = 0) -> str:
        uid = f"engine-{number}-{generation}"
        self.engines[uid] = Engine(self.fleet.engines[number], self.loop)
        self.ready_at[uid] = self.loop.now
        for gateway in self.gateways:
            if gateway.scrapes:
                self.loop.at(
                    self.loop.now + self._rng.random() * self.fleet.scrape_interval, self._scrape, gateway, uid
                )
        return uid

    def _restart(self, restart: Restart) -> None:
        old = self._current[restart.engine]
        new = self._start(restart.engine, int(old.rpartition("-")[2]) + 1)
        self._current[restart.engine] = new
        for gateway in self.gateways:
            gateway.describe(new, None)
            gateway.describe(old, "terminating")
        self._retire(old)

    def _retire(self, uid: str) -> None:
        """Let a pod that takes no more requests go when it has none."""
        if uid not in self._current and not self.engines[uid].in_flight:
            for gateway in self.gateways:
                gateway.forget(uid)

    def _scrape(self, gateway: Gateway, uid: str) -> None:
        if uid in self._current and len(self.records) < len(self._entries):
            now = self.loop.now
            expires = now + self.fleet.scrape_delay + STALE * self.fleet.scrape_interval
            self.loop.at(now + self.fleet.scrape_delay, gateway.read, uid, self.engines[uid].page(), expires)
            self.loop.at(now + self.fleet.scrape_interval, self._scrape, gateway, uid)

    # --- samples

    def _sample(self) -> None:
        counts = [self.engines[uid].in_flight for uid in self._current]
        self.samples.append(Sample(self.loop.now, max(counts), sum(counts) / len(counts)))
        if self.loop.now + 1 <= self._end:
            self.loop.at(self.loop.now + 1, self._sample)
