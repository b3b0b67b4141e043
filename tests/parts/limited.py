"""Gateways whose models have limits."""

from aibrix_mw.limiting.limiter import Limiter
from tests.support import Clock, Running


def limited(script=None, limit=10, *, profile=None, **options):
    """A gateway whose model has a limit, and whose second stands still."""
    config = {"profiles": {"default": {"requestsPerSecond": limit, **(profile or {})}}}
    gateway = Running(script, config=options.pop("config", config), **options)
    limiter = gateway.gateway.counting.limiter
    if isinstance(limiter, Limiter):
        limiter.windows.clock = Clock(1000.25)
    return gateway
