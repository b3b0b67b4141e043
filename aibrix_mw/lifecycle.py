"""What a gateway is doing: starting, serving, draining."""

from collections.abc import Callable


class Lifecycle:
    """Why a gateway is not ready, and whether it takes requests.

    `checks` each return a reason for not being ready, or None. While it is `lagging` it has more to do than it can.
    """

    def __init__(self) -> None:
        self.running = False
        self.draining = False
        self.closing = False
        self.lagging = False
        self.checks: list[Callable[[], str | None]] = []

    def not_ready(self) -> str | None:
        """The first reason for not being ready; None when the gateway is."""
        if not self.running:
            return "not running"
        if self.draining:
            return "draining"
        return next((reason for check in self.checks if (reason := check()) is not None), None)
