"""Each engine is asked by one gateway of all, and the others hear from it what the engine has said.

A pod falls to the live gateway with the highest hash of both (rendezvous hashing: Thaler and Ravishankar, 1998), so
that all agree without a word, and a gateway that comes or goes moves only its own share. What is told decides where
that is not enough: a gateway of another version, or with other pods or strategies, is not waited for longer than
`patience`, and of two that ask the same engine the lower one in the pod's order stops.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec
import xxhash

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.scraper import STALE, Fields
from aibrix_mw.shared.exchange import INTERVAL

logger = logging.getLogger("aibrix_mw")

_PLACES = {field: 1 << place for place, field in enumerate(EngineMetrics.__struct_fields__)}


class Digest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one engine has said, with the fields that it was read for; no metrics before it has said anything."""

    uid: str
    fields: int
    metrics: EngineMetrics | None


class Edition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a gateway tells of all engines that it asks; `now` is its clock, by which metrics expire."""

    now: float
    digests: list[Digest]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Edition).decode


class _Subject:
    """A pod whose metrics are wanted: whether this gateway asks its engine, and who else tells of it."""

    __slots__ = ("best", "fields", "mine", "pod", "stamp", "teller", "untold_since")

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.fields = 0
        self.mine = False
        self.best: tuple[int, str] | None = None
        self.teller: str | None = None
        self.untold_since: float | None = None
        self.stamp: object = None


class SharedScrapes:
    """Shares the asking of engines with other gateways: `ScrapeSharing` for the scraper, `Bulletin` for the exchange.

    `every` is the scrape interval in seconds. Nothing is asked before the exchange has had its first turn; while the
    store is away this gateway asks all engines itself.
    """

    def __init__(self, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.every = every
        self.patience = STALE * max(every, INTERVAL)
        self.clock = clock
        self.changed: Callable[[], object] = lambda: None
        self._me = ""
        self._others: frozenset[str] | None = None
        self._met = False
        self._unreadable: frozenset[str] = frozenset()
        self._subjects: dict[str, _Subject] = {}

    # --- for the scraper

    def share(self, wanted: Mapping[Pod, Fields]) -> dict[Pod, Fields]:
        """The pods whose engines this gateway asks."""
        before, now = self._subjects, self.clock()
        self._subjects = {}
        for pod, fields in wanted.items():
            subject = self._subjects[pod.uid] = before.get(pod.uid) or _Subject(pod)
            subject.fields = _mask(fields)
            subject.mine = self._falls_to_me(subject, now)
        return {subject.pod: wanted[subject.pod] for subject in self._subjects.values() if subject.mine}

    def _falls_to_me(self, subject: _Subject, now: float) -> bool:
        if self._others is None:
            return self._met
        if subject.best is None:
            subject.best = max(_weight(gateway, subject.pod) for gateway in (self._me, *self._others))
        if subject.best[1] == self._me:
            return True
        if subject.teller in self._others:
            subject.untold_since = None
            return subject.mine and _weight(self._me, subject.pod) > _weight(subject.teller, subject.pod)
        if subject.untold_since is None:
            subject.untold_since = now
        return subject.mine or now - subject.untold_since >= self.patience

    # --- for the exchange

    def meet(self, me: str, others: frozenset[str] | None) -> None:
        """Take over who lives; what a change moves is moved at once."""
        if self._met and (me, others) == (self._me, self._others):
            return
        self._note(others)
        gone = (self._others or frozenset()) - (others or frozenset())
        new = (others or frozenset()) - (self._others or frozenset())
        for subject in self._subjects.values():
            if subject.best is not None:
                is_gone = others is None or subject.best[1] in gone
                subject.best = None if is_gone else max([subject.best, *(_weight(other, subject.pod) for other in new)])
        self._me, self._others, self._met = me, others, True
        self.changed()

    def collect(self) -> bytes | None:
        """All that this gateway asks; nothing while nobody is there to read it."""
        if not self._others:
            return None
        mine = [subject for subject in self._subjects.values() if subject.mine]
        digests = [Digest(subject.pod.uid, subject.fields, subject.pod.metrics) for subject in mine]
        return _encode(Edition(self.clock(), digests))

    async def take(self, told: Mapping[str, bytes]) -> None:
        """Take over what others tell of pods that are wanted here, if they have read all that is wanted."""
        tellers: dict[str, str] = {}
        unreadable = set()
        for gateway, text in told.items():
            try:
                edition = _decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                unreadable.add(gateway)
                continue
            later = self.clock() - edition.now
            for digest in edition.digests:
                self._hear(gateway, digest, later, tellers)
            await asyncio.sleep(0)  # a hundred pods take a tenth of a millisecond, and there are many gateways
        for uid, subject in self._subjects.items():
            subject.teller = tellers.get(uid)
        if unreadable - self._unreadable:
            logger.warning("scraper: what another gateway tells of engines cannot be read: is it of another version?")
        self._unreadable = frozenset(unreadable)

    def _hear(self, gateway: str, digest: Digest, later: float, tellers: dict[str, str]) -> None:
        """One digest of a gateway whose clock shows `later` seconds less than ours."""
        subject = self._subjects.get(digest.uid)
        if subject is None or subject.fields & ~digest.fields:
            return
        other = tellers.get(digest.uid)
        if other is not None and _weight(other, subject.pod) > _weight(gateway, subject.pod):
            return
        tellers[digest.uid] = gateway
        metrics = digest.metrics
        if subject.mine or metrics is None or subject.stamp == (stamp := (gateway, metrics.expires)):
            return
        subject.stamp = stamp
        msgspec.structs.force_setattr(metrics, "expires", metrics.expires + later)
        subject.pod.metrics = metrics

    def _note(self, others: frozenset[str] | None) -> None:
        """One line in the log when the store goes, and when it is back."""
        if others is None:
            logger.warning("scraper: the store is away, so that this gateway asks all engines itself")
        elif self._met and self._others is None:
            logger.info("scraper: engines are shared with other gateways again")


@lru_cache(maxsize=256)
def _mask(fields: Fields) -> int:
    return sum(_PLACES[field] for field in fields)


def _weight(gateway: str, pod: Pod) -> tuple[int, str]:
    """A gateway's place in a pod's order: the highest one comes first."""
    return xxhash.xxh64_intdigest(pod.key, _seed(gateway)), gateway


@lru_cache(maxsize=1024)
def _seed(gateway: str) -> int:
    return xxhash.xxh64_intdigest(gateway.encode())
