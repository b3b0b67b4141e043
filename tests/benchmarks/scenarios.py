"""What is driven, and what of it has a stated maximum."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from .systems import COUNTED, DIVIDED, REFERENCE, SHARED, SUBJECT, WHOLE
from .table import Row, ratio
from .traffic import CHUNKS, SPACING_MS


@dataclass(frozen=True)
class Scenario:
    """One load: the kind of answer and the number of connections; `at_most` is the stated maximum of ours to Envoy.

    `stretch` lengthens the run where requests are few.
    """

    kind: str
    connections: int
    at_most: float | None = None
    stretch: float = 1.0

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"{self.kind}-{self.connections}"

    @property
    def title(self) -> str:
        """What it is, in words."""
        answers = {
            "json": "JSON answer",
            "sse": f"{CHUNKS}-chunk SSE answer, all chunks in one write of the engine",
            "split": f"{CHUNKS}-chunk SSE answer, each chunk a write of its own, without a pause",
            "spaced": f"{CHUNKS}-chunk SSE answer, a pod gives each stream a chunk every {SPACING_MS} ms",
        }
        return f"{self.name}: {answers[self.kind]}, {self.connections} connection{'s' * (self.connections > 1)}"


SCENARIOS: Final = (
    Scenario("json", 1),
    Scenario("json", 16, at_most=1.4),
    Scenario("json", 64),
    Scenario("json", 256),
    Scenario("sse", 1),
    Scenario("sse", 16, at_most=1.3),
    Scenario("sse", 256),
    Scenario("split", 16, at_most=1.3),
    Scenario("spaced", 64, at_most=1.25, stretch=2.0),
)


# What a limit may add to a request, where Envoy's costs 49 µs, and what counting in a store may cost to counting here.
LIMIT_US: Final = 8.0
ENVOY_US: Final = 49.0
STORE_RATIO: Final = 1.5
STORE_CONNECTIONS: Final = 64
# What ours may cost with a limit, metrics and traces on, to Envoy, by the kind of answer.
WHOLE_RATIO: Final = {"json": 1.75, "split": 1.6, "sse": 1.6}
# What a request of two legs may cost to a plain one.
LEGS_RATIO: Final = 2.2
LEGS_CONNECTIONS: Final = 16


@dataclass(frozen=True)
class Verdict:
    """One stated maximum and what was seen."""

    text: str
    held: bool


def verdict(scenario: Scenario, rows: Mapping[str, Row]) -> Verdict | None:
    """Compare ours with Envoy; None for a scenario without a maximum. A system that did not run breaks the maximum."""
    if scenario.at_most is None:
        return None
    seen = ratio(rows, SUBJECT, REFERENCE)
    if seen is None:
        return Verdict(f"{scenario.name}: {SUBJECT} or {REFERENCE} did not run", held=False)
    held = seen <= scenario.at_most
    figures = f"{rows[SUBJECT].cpu_us:.1f} µs, {seen:.2f} times {REFERENCE}'s {rows[REFERENCE].cpu_us:.1f} µs"
    return Verdict(f"{scenario.name}: {figures}, at most {scenario.at_most}: {'held' if held else 'BROKEN'}", held)


def limit_verdicts(scenario: Scenario, rows: Mapping[str, Row]) -> Iterator[Verdict]:
    """Compare ours with and without a limit, and with the limit in a store; nothing where those did not run."""
    if scenario.kind != "json" or scenario.connections != STORE_CONNECTIONS:
        return
    if {SUBJECT, COUNTED, REFERENCE} <= rows.keys():
        added = rows[COUNTED].cpu_us - rows[SUBJECT].cpu_us
        at_most = LIMIT_US * rows[REFERENCE].cpu_us / ENVOY_US
        held = added <= at_most
        text = f"{scenario.name}: a limit adds {added:.1f} µs, at most {at_most:.1f}: {'held' if held else 'BROKEN'}"
        yield Verdict(text, held)
    seen = ratio(rows, SHARED, COUNTED)
    if seen is not None:
        held = seen <= STORE_RATIO
        text = f"{scenario.name}: a limit in a store {seen:.2f} times one in process, at most {STORE_RATIO}"
        yield Verdict(f"{text}: {'held' if held else 'BROKEN'}", held)


def legs_verdict(scenario: Scenario, rows: Mapping[str, Row]) -> Iterator[Verdict]:
    """Compare ours with a prefill pod and a decode pod a request to ours with one; nothing where those did not run."""
    seen = ratio(rows, DIVIDED, SUBJECT) if scenario.connections == LEGS_CONNECTIONS else None
    if seen is not None:
        held = seen <= LEGS_RATIO
        text = f"{scenario.name}: prefill and decode {seen:.2f} times a plain request, at most {LEGS_RATIO}"
        yield Verdict(f"{text}: {'held' if held else 'BROKEN'}", held)


def whole_verdict(scenario: Scenario, rows: Mapping[str, Row]) -> Iterator[Verdict]:
    """Compare ours with everything on to Envoy; nothing where it did not run, or nothing is stated."""
    at_most = WHOLE_RATIO.get(scenario.kind)
    seen = ratio(rows, WHOLE, REFERENCE)
    if at_most is not None and seen is not None and scenario.at_most is not None:
        text = f"{scenario.name}: with limit, metrics and traces {seen:.2f} times {REFERENCE}, at most {at_most}"
        yield Verdict(f"{text}: {'held' if seen <= at_most else 'BROKEN'}", seen <= at_most)
