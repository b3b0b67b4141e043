"""How a measurement goes, while it goes: one line that is written anew on a terminal, else a line a step."""

from typing import TextIO

from aibrix_mw.sizing.measure import Tried
from aibrix_mw.sizing.orders import Progress
from aibrix_mw.sizing.report import percent, seconds

_CLEAR = "\r\x1b[K"


class Lines:
    """A line when a step has ended; a `Listener`."""

    def __init__(self, out: TextIO, title: str = "") -> None:
        self._out = out
        self._title = f"{title}: " if title else ""

    def phase(self, name: str, rate: float | None) -> None:
        """Only what comes before the first step has a line of its own: it takes a while."""
        if rate is None:
            self.note("single requests, one after the other")

    def progress(self, progress: Progress) -> None:
        """Nothing: a log has no use for it."""

    def step(self, tried: Tried) -> None:
        """Say what came of it."""
        figures = tried.figures
        reasons = "; ".join(reason.text for reason in tried.reasons)
        self.note(
            f"{tried.rate:.3g} requests/s ({tried.phase}): first token p95 {seconds(figures.first_p95)}, "
            f"in flight {figures.in_flight:.0f}, errors {percent(tried)}: "
            + (f"not sustainable, {reasons}" if reasons else "sustainable")
        )

    def clear(self) -> None:
        """Make room for what others write; a log needs none."""

    def note(self, text: str) -> None:
        """Write a line."""
        self._out.write(f"{self._title}{text}\n")
        self._out.flush()


class Terminal(Lines):
    """Lines, and below them one that shows the step under way."""

    def __init__(self, out: TextIO, title: str = "") -> None:
        super().__init__(out, title)
        self._now = ""

    def phase(self, name: str, rate: float | None) -> None:
        """Remember what the running line is about."""
        self._now = "single requests" if rate is None else f"{rate:.3g} requests/s ({name})"

    def progress(self, progress: Progress) -> None:
        """Write the running line anew."""
        self._out.write(
            f"{_CLEAR}{self._title}{self._now}  {progress.seconds:.0f} s  first token p95 {seconds(progress.first_p95)}"
            f"  in flight {progress.in_flight}  errors {progress.errors}"
        )
        self._out.flush()

    def clear(self) -> None:
        """Remove the running line."""
        self._out.write(_CLEAR)

    def note(self, text: str) -> None:
        """Write a line in place of the running one."""
        self.clear()
        super().note(text)
