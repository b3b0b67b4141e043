"""Hooks of strategies that run where no request waits: what they raise must not end what else runs there."""

import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from aibrix_mw.errors import Fault

logger = logging.getLogger("aibrix_mw")

T = TypeVar("T")


class Failure(msgspec.Struct):
    """How often a hook has raised, and what it was the first time."""

    reason: str
    times: int = 0


class Guard:
    """Calls hooks; what they raise is logged once a strategy and hook, with its traceback, and counted from then on."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], Failure] = {}

    def call(self, name: str, hook: str, act: Callable[..., T], *arguments: object) -> T | None:
        """What `act` returns, which calls the hook of the strategy `name`; None where it raises."""
        try:
            return act(*arguments)
        except Exception as error:
            key = name, hook
            if key not in self.failures:
                logger.error("strategy %s: %s() fails, the gateway goes on without it", *key, exc_info=error)
                self.failures[key] = Failure(f"{type(error).__name__}: {error}")
            self.failures[key].times += 1
            return None

    def faults(self) -> list[Fault]:
        """What has been raised, by strategy and hook."""
        return [
            Fault(f"strategy {name}", f"{hook}() fails: {failure.reason} (times: {failure.times})")
            for (name, hook), failure in self.failures.items()
        ]
