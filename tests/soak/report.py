"""What a soak comes to, as text."""

from collections import Counter
from collections.abc import Iterator

from tests.soak.accounts import Codes
from tests.soak.seen import count
from tests.soak.soak import Soaked, Terms


def report(terms: Terms, soaked: Soaked) -> str:
    """Figures, then checks; what did not hold names the requests, and the faults before the first of them."""
    return "\n".join(_lines(terms, soaked)) + "\n"


def _lines(terms: Terms, soaked: Soaked) -> Iterator[str]:
    seen, rests = soaked.seen, soaked.rests
    yield f"seed {terms.seed}: {terms.seconds:g} s, {terms.clients} clients, a fault every {terms.every:g} s"
    seconds = terms.seconds * len(rests) / terms.rounds
    yield f"requests: {len(seen)}, {len(seen) / seconds:.1f}/s; faults: {len(soaked.faults)}"
    yield "  kinds: " + _told(Counter(one.kind for one in seen))
    yield "  faults: " + _told(Counter(told.partition(":")[0] for _, told in soaked.faults))
    yield from _outcomes(soaked, rests[-1].exposition.requests())
    yield "at rest: after seconds, rss MiB, objects, threads, tasks, descriptors, sockets"
    names = ("before", *(f"round {number}" for number in range(1, len(rests) + 1)))
    for name, rest in zip(names, [soaked.base, *rests], strict=True):
        now = rest.vitals
        inside = f"{sum(now.objects.values()):7} {now.threads:3} {sum(now.tasks.values()):3}"
        descriptors = now.files + sum(now.sockets.values())
        yield f"  {name:8} {rest.seconds:4.1f} {now.rss / 2**20:7.1f} {inside} {descriptors:4} {now.sockets}"
    yield "checks"
    for check in soaked.checks:
        yield f"  {'good' if check.good else 'BAD '} {check.name}: {check.told}"


def _outcomes(soaked: Soaked, counted: Codes) -> Iterator[str]:
    sure, maybe = count(soaked.seen)
    ends: Counter[str] = Counter()
    for (_, outcome), times in counted.items():
        ends[outcome] += times
    yield "outcome            counted, clients are sure of, and besides it may be"
    for outcome, times in ends.most_common():
        yield f"  {outcome:16} {times:7} {sure.get(outcome, 0):7} {maybe.get(outcome, 0):7}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counts.most_common())
