"""Whether what the gateway has counted is what its clients have seen.

Three accounts of the same requests are compared. Clients: each request with the outcomes that agree with what was seen.
The access log: one line a request, by the id that the client gave it. The counters: requests by status and outcome.

- every request whose head was sent has exactly one line, and no line is without a request;
- the line's outcome is one of those that agree with what was seen, and its status is the one that was answered;
- lines and counters are equal for each status and outcome, but for what never became a request: those refusals have
  counters and no line, and are as many as clients have seen, plus at most those whose client left meanwhile;
- hence for each outcome: `sure <= counted <= sure + maybe`, where `maybe` are requests whose client left before it
  could tell; without them both sides are equal.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.soak.seen import Seen, count

Codes = Mapping[tuple[str, str], int]
"""Requests by status and outcome."""
_SHOWN = 10
ON_PURPOSE = ("the last good version stays", "the store is away (")
"""What is logged of a file that is half written and of a store that is stopped."""


class Check(NamedTuple):
    """One question, whether the answer is as it must be, and what the answer was."""

    name: str
    good: bool
    told: str


class Lines(NamedTuple):
    """Status and outcome of each logged request, by its id; other lines that are no good news."""

    requests: dict[str, list[tuple[str, str]]]
    complaints: list[str]


def read_log(text: str) -> Lines:
    """Sort what a gateway has logged."""
    requests: dict[str, list[tuple[str, str]]] = {}
    complaints = []
    for line in text.splitlines():
        entry = json.loads(line) if line.startswith("{") else {"level": "error", "message": line}
        if "outcome" in entry:
            requests.setdefault(entry.get("request_id", ""), []).append((str(entry["status"]), entry["outcome"]))
        elif entry.get("level") in {"error", "critical"} and not any(known in entry["message"] for known in ON_PURPOSE):
            complaints.append(entry["message"])
    return Lines(requests, complaints)


class Exposition:
    """The samples of a `/metrics`."""

    def __init__(self, text: str) -> None:
        self.samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def requests(self) -> Codes:
        """Requests by status and outcome."""
        counted: Counter[tuple[str, str]] = Counter()
        for sample in self.samples:
            if sample.name == "aibrix_gateway_requests_total":
                counted[sample.labels["code"], sample.labels["outcome"]] += int(sample.value)
        return counted

    def values(self, name: str) -> dict[str, float]:
        """Values of a metric by its labels, as text."""
        return {" ".join(s.labels.values()): s.value for s in self.samples if s.name == f"aibrix_gateway_{name}"}


def compare(seen: list[Seen], lines: Lines, counted: Codes) -> Iterator[Check]:
    """Every check of the accounts; what is told names requests by kind, id and second."""
    strange = [f"{one.kind} {one.id} at {one.at:.1f} s: {one.wrong}" for one in seen if one.wrong]
    yield _none("every answer is whole or says that it is not", strange, f"{len(seen)} requests")
    yield _none("exactly one outcome a request", list(_not_once(seen, lines)), f"{len(lines.requests)} logged")
    yield _none("log and clients agree on each request", list(_disagreements(seen, lines)), _certainty(seen))
    yield _none("counters and log agree", list(_uncounted(seen, lines, counted)), f"{sum(counted.values())} counted")
    yield _none("counters are within what clients can tell", list(_outside(seen, counted)), _sums(seen, counted))
    yield _none("no error is logged", lines.complaints, "no line")


def _none(name: str, faults: list[str], told: str) -> Check:
    more = f"; {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return Check(name, not faults, "; ".join(faults[:_SHOWN]) + more if faults else told)


def _not_once(seen: Iterable[Seen], lines: Lines) -> Iterator[str]:
    asked = {one.id: one for one in seen if one.id is not None}
    for name, one in asked.items():
        times = len(lines.requests.get(name, ()))
        if times != 1:
            yield f"{one.kind} {name} at {one.at:.1f} s: {times} lines"
    for name in lines.requests.keys() - asked.keys():
        yield f"{name}: a line, and nobody has asked"


def _disagreements(seen: Iterable[Seen], lines: Lines) -> Iterator[str]:
    for one in seen:
        for status, outcome in lines.requests.get(one.id or "", ()):
            if one.wrong:
                yield f"{one.kind} {one.id} at {one.at:.1f} s: logged as {outcome} {status}"
            elif outcome not in one.may or not (one.left or status == str(one.status or status)):
                saw = f"saw {one.status}{', left,' if one.left else ''} which is {' or '.join(sorted(one.may))}"
                yield f"{one.kind} {one.id} at {one.at:.1f} s: logged as {outcome} {status}, the client {saw}"


def _certainty(seen: Iterable[Seen]) -> str:
    sizes = Counter(one.sure for one in seen)
    return f"{sizes[True]} could only be one outcome, {sizes[False]} left before that was clear"


def _uncounted(seen: list[Seen], lines: Lines, counted: Codes) -> Iterator[str]:
    logged = Counter(end for ends in lines.requests.values() for end in ends)
    outside = [one for one in seen if one.id is None]
    sure = Counter((str(one.status), outcome) for one in outside if not one.left for outcome in one.may)
    maybe = Counter(outcome for one in outside if one.left for outcome in one.may)
    for end in sorted(logged.keys() | counted.keys() | sure.keys()):
        least = logged[end] + sure[end]
        if not least <= counted.get(end, 0) <= least + maybe[end[1]]:
            yield f"{end}: {counted.get(end, 0)} counted, {logged[end]} logged, {sure[end]} refused at the door"


def _outside(seen: Iterable[Seen], counted: Codes) -> Iterator[str]:
    sure, maybe = count(seen)
    ends: Counter[str] = Counter()
    for (_, outcome), times in counted.items():
        ends[outcome] += times
    for outcome in sorted(sure.keys() | ends.keys()):
        least, most = sure.get(outcome, 0), sure.get(outcome, 0) + maybe.get(outcome, 0)
        if not least <= ends[outcome] <= most:
            yield f"{outcome}: {ends[outcome]} counted, clients say {least} to {most}"


def _sums(seen: list[Seen], counted: Codes) -> str:
    """Asked and counted in all: equal but for those whose client left with half a head."""
    silent = sum(one.id is None and one.left for one in seen)
    return f"{sum(counted.values())} counted of {len(seen)} begun, {silent} of them never whole"
