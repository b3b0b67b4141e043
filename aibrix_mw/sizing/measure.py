"""Measures one replica: alone, then at the rates that the search asks for."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from aibrix_mw.sizing.client import Patience
from aibrix_mw.sizing.estimate import Estimate, estimate
from aibrix_mw.sizing.failures import GeneratorTooSlow, LimitMet, NothingSustained, SizingError
from aibrix_mw.sizing.orders import Alone, Load, Progress, Runner
from aibrix_mw.sizing.records import Punctuality, Step, quantile
from aibrix_mw.sizing.schedule import Plan
from aibrix_mw.sizing.search import DOUBLE, Bracket, Probe, search
from aibrix_mw.sizing.verdict import UNBOUNDED, Bounds, Figures, Reason, Verdict, judge

ALONE_COUNT = 30
UNLOADED = 2.0
"""Default bounds: so many times the p95 of a request alone."""
_ALONE_FEWEST = 3
_FEWEST = 100
"""Requests that a full step has at least, unless that made it more than `_STRETCH` times as long."""
_STRETCH = 5.0
_TRIES = 3
"""How often a step is done before the load generator counts as too slow."""
_CPU = 0.9
_LATE = 0.1
_LATE_SECONDS = 0.005


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to find out; bounds in seconds, those that are None come from the replica alone.

    `step_seconds`: how long a full step is measured. `silence`: seconds without a byte after which a request has
    stalled. `seed` decides all chances.
    """

    first_token: float | None = None
    per_token: float | None = None
    most: float | None = None
    step_seconds: float = 20.0
    silence: float = 10.0
    seed: int = 0


class Tried(msgspec.Struct, frozen=True):
    """One step: what it was for, how long it took in seconds, and what came of it."""

    rate: float
    phase: str
    seconds: float
    figures: Figures
    reasons: tuple[Reason, ...]
    punctuality: Punctuality

    @property
    def sustainable(self) -> bool:
        """Whether nothing speaks against the rate."""
        return not self.reasons


class Measured(msgspec.Struct, frozen=True):
    """What has been found. `end`: `complete`, or why there is no more: `interrupted`, `limit`, `generator` ...

    `reason` is what speaks against the upper end of the bracket. `message` explains an end before its time.
    """

    unloaded: Figures
    bounds: Bounds
    tried: tuple[Tried, ...]
    bracket: Bracket
    estimate: Estimate | None
    reason: Reason | None
    end: str = "complete"
    message: str = ""

    @property
    def seconds(self) -> float:
        """How long all steps took."""
        return sum(tried.seconds for tried in self.tried)


class Listener(Protocol):
    """Hears how it goes."""

    def phase(self, name: str, rate: float | None) -> None:
        """A step begins; without a rate it is that of the replica alone."""
        ...

    def progress(self, progress: Progress) -> None:
        """A step goes on."""
        ...

    def step(self, tried: Tried) -> None:
        """A step has ended."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line has happened."""
        ...


class Measuring:
    """One measurement under way; `result` gives what is known at any time after `begin`."""

    def __init__(self, runner: Runner, task: Task, listener: Listener) -> None:
        self._runner = runner
        self._task = task
        self._listener = listener
        self._seed = task.seed
        self._whole = 0.0
        self._unloaded: Verdict | None = None
        self._bounds = Bounds()
        self._full: dict[float, list[Step]] = {}
        self._short: dict[float, list[Step]] = {}
        self._tried: list[Tried] = []

    def begin(self) -> None:
        """Measure single requests, and set the bounds; SizingError when not even these are served."""
        task, patience = self._task, Patience(120.0, max(self._task.silence, 60.0))
        self._listener.phase("alone", None)
        order = Alone(ALONE_COUNT, max(task.step_seconds / 2, 5.0), patience, self._next_seed())
        step = self._runner.run(order, self._listener.progress)
        self._unloaded = verdict = judge([step], Bounds())
        complete = [record.ended - record.sent for record in step.records if not record.error]
        if len(complete) < _ALONE_FEWEST:
            reasons = verdict.reasons or (Reason("slow", f"{len(complete)} answers in {step.seconds:.0f} s"),)
            raise _no_single(reasons[0])
        self._whole = quantile(complete, 0.5)
        self._bounds = _bounds(task, verdict.figures)

    def run(self) -> Measured:
        """Search until the knee is found; a limit or a slow generator ends it before, and the result says so."""
        steps = search(1 / self._whole, self._task.most)
        probe = next(steps)
        try:
            while True:
                probe = steps.send(self._sustainable(probe))
        except StopIteration as found:
            return self.result(found.value)
        except SizingError as error:
            ends = {LimitMet.code: "limit", GeneratorTooSlow.code: "generator"}
            return self.result(end=ends.get(error.code, "failed"), message=str(error))

    def result(self, bracket: Bracket | None = None, end: str = "complete", message: str = "") -> Measured:
        """What is known; without a bracket that of the steps so far."""
        assert self._unloaded is not None
        bracket = bracket or _bracket(self._tried)
        verdicts = [judge(steps, self._bounds) for steps in (self._short | self._full).values()]
        found = estimate(bracket, verdicts)
        against = [one for one in self._tried if one.rate == bracket.high and one.reasons]
        reason = against[-1].reasons[0] if against else None
        tried = tuple(self._tried)
        return Measured(self._unloaded.figures, self._bounds, tried, bracket, found, reason, end, message)

    def _sustainable(self, probe: Probe) -> bool:
        step = self._punctual(probe)
        steps = (self._short if probe.phase == DOUBLE else self._full).setdefault(probe.rate, [])
        steps.append(step)
        verdict = judge(steps, self._bounds)
        tried = Tried(probe.rate, probe.phase, step.seconds, verdict.figures, verdict.reasons, step.punctuality)
        self._tried.append(tried)
        self._listener.step(tried)
        if verdict.reasons and verdict.reasons[0].kind == "limit":
            accepted = verdict.figures.requests_per_second
            raise LimitMet(
                f"At {probe.rate:.3g} requests/s the target refuses with 429 and lets about {accepted:.3g}/s through: "
                f"{verdict.reasons[0].text}. That is a limit, not the capacity; raise it or measure a pod directly."
            )
        return verdict.sustainable

    def _punctual(self, probe: Probe) -> Step:
        """A step in which the generator kept its schedule; GeneratorTooSlow when it cannot."""
        for _ in range(_TRIES):
            self._listener.phase(probe.phase, probe.rate)
            step = self._runner.run(self._order(probe), self._listener.progress)
            fault = unpunctual(step.punctuality, self._bounds)
            if fault is None:
                return step
            self._listener.note(f"{probe.rate:.3g} requests/s: {fault}; once more")
        raise GeneratorTooSlow(
            f"The load generator was the bottleneck at {probe.rate:.3g} requests/s: {fault}. Run it on a "
            "machine, or at a time, with more to spare."
        )

    def _order(self, probe: Probe) -> Load:
        task, whole = self._task, self._whole
        share = 1 / 3 if probe.phase == DOUBLE else 1.0
        measured = task.step_seconds * share
        if probe.phase != DOUBLE:
            measured = max(measured, min(_FEWEST / probe.rate, _STRETCH * measured))
        plan = Plan(probe.rate, max(task.step_seconds * share / 4, 1.2 * whole), measured, whole)
        patience = Patience(max(task.silence, 3 * min(self._bounds.first_token, 1e6)), task.silence)
        return Load(plan, self._bounds, patience, task.silence + 5 * whole, self._next_seed())

    def _next_seed(self) -> int:
        self._seed += 1
        return self._seed


def unpunctual(seen: Punctuality, bounds: Bounds) -> str | None:
    """What the generator did not do well enough for its figures to be the target's."""
    allowed = max(_LATE_SECONDS, _LATE * min(bounds.first_token, 10.0))
    if seen.late_p95 > allowed:
        return f"it sent requests late (p95 {1000 * seen.late_p95:.1f} ms, at most {1000 * allowed:.1f} ms are allowed)"
    if seen.cpu > _CPU:
        return f"it used {100 * seen.cpu:.0f} % of its core"
    return None


def _no_single(reason: Reason) -> SizingError:
    if reason.kind == "limit":
        return LimitMet(f"the target refuses single requests: {reason.text}. Raise that limit, or wait for its end.")
    return NothingSustained(f"single requests, one after the other, are not served: {reason.text}")


def _bounds(task: Task, alone: Figures) -> Bounds:
    first, token = alone.first_p95, alone.token_p95
    assert first is not None
    return Bounds(
        task.first_token or UNLOADED * first, task.per_token or (UNBOUNDED if token is None else UNLOADED * token)
    )


def _bracket(tried: Sequence[Tried]) -> Bracket:
    """What steps so far leave open, the last one at a rate being right."""
    latest = {one.rate: one.sustainable for one in tried}
    high = min((rate for rate, sustainable in latest.items() if not sustainable), default=None)
    low = [rate for rate, sustainable in latest.items() if sustainable and (high is None or rate < high)]
    return Bracket(max(low, default=None), high)
