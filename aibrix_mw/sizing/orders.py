"""What goes between the command and its load generator: JSON, one message a line."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from aibrix_mw.sizing.client import Patience
from aibrix_mw.sizing.records import Step
from aibrix_mw.sizing.schedule import Plan
from aibrix_mw.sizing.target import Target
from aibrix_mw.sizing.verdict import Bounds
from aibrix_mw.sizing.workload import Workload


class Setup(msgspec.Struct, frozen=True):
    """To whom, and what; the first message to the generator."""

    target: Target
    workload: Workload


class Alone(msgspec.Struct, frozen=True, tag="alone"):
    """One request after the other: `count` of them, fewer when `seconds` are over before."""

    count: int
    seconds: float
    patience: Patience
    seed: int = 0


class Load(msgspec.Struct, frozen=True, tag="load"):
    """A step of open-loop load; `bounds` tell when it is pointless to go on.

    Requests that count have `drain` seconds to end once the last one has been sent.
    """

    plan: Plan
    bounds: Bounds
    patience: Patience
    drain: float
    seed: int = 0


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How a step goes: seconds since its start, requests under way, answered and failed, and the p95 so far."""

    seconds: float
    in_flight: int = 0
    ended: int = 0
    errors: int = 0
    first_p95: float | None = None


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A step as it went."""

    step: Step


Order = Alone | Load
Tell = Callable[[Progress], None]


class Runner(Protocol):
    """Whatever carries out orders."""

    def run(self, order: Order, tell: Tell) -> Step:
        """Carry out an order, and tell of its progress meanwhile."""
        ...
