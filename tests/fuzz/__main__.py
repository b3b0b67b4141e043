"""Run every fuzz target for so many seconds, with fresh random input: python -m tests.fuzz [SECONDS [TARGET ...]]."""

import logging
import sys
import time
from importlib import import_module

from hypothesis import HealthCheck, settings

settings.register_profile("fuzz", deadline=None, max_examples=500, suppress_health_check=list(HealthCheck))
settings.load_profile("fuzz")  # before the targets take it over

MODULES = ("requests", "answers", "streams", "texts", "forms")


def targets():
    """Name and function of each target, in order."""
    for module in MODULES:
        for name, function in vars(import_module(f"tests.fuzz.test_{module}")).items():
            if name.startswith("test_"):
                yield name.removeprefix("test_"), function


def main(seconds, wanted):
    logging.disable()  # what is wrong with made-up pods is told nobody
    for name, function in targets():
        if wanted and name not in wanted:
            continue
        rounds, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            function()  # raises with the smallest input that fails
            rounds += 1
        told = f"{name}: {rounds} x {settings().max_examples} examples in {seconds:g} s, none failed\n"
        sys.stdout.write(told)
        sys.stdout.flush()


main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0, sys.argv[2:])
