"""Few series out of a long Prometheus text: an engine exports thousands of lines, and strategies need some twenty."""

from collections.abc import Iterable
from math import isfinite

LOOK_AGAIN = 60
"""Readings after which series that were absent are looked for again."""


class SeriesReader:
    """Reads the samples of some series out of one engine's metrics, again and again.

    An engine writes its families in the same order each time: after the first reading, each series is looked for from
    where the last one ended, so that the text is passed over once, by C's search for a byte string.
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        self.names = frozenset(names)
        self._order: list[bytes] = []
        self._readings = 0

    def read(self, text: bytes) -> dict[bytes, list[float]]:
        """Samples by series, one per label set; a series that is absent, or not finite, is not in it."""
        names: Iterable[bytes] = self._order
        if self._readings % LOOK_AGAIN == 0:
            names = [*self._order, *sorted(self.names.difference(self._order))]
        self._readings += 1
        places: list[tuple[int, bytes]] = []
        found: dict[bytes, list[float]] = {}
        end = 0
        for name in names:
            at = _find(text, name, end)
            if at < 0:
                at = _find(text, name, 0)
            if at < 0:
                continue
            samples, end = _samples(text, name, at)
            places.append((at, name))
            if samples:
                found[name] = samples
        self._order = [name for _, name in sorted(places)]
        return found


def _find(text: bytes, name: bytes, start: int) -> int:
    """Where the first line of a series begins, at `start` or later; -1 when there is none."""
    at = start
    while True:
        at = text.find(name, at)
        if at < 0:
            return -1
        if (at == 0 or text[at - 1] == 10) and text[at + len(name) : at + len(name) + 1] in {b"{", b" ", b"\t"}:
            return at
        at += len(name)


def _samples(text: bytes, name: bytes, at: int) -> tuple[list[float], int]:
    """The values of consecutive lines of one series, and where they end."""
    values: list[float] = []
    while text.startswith(name, at) and text[at + len(name) : at + len(name) + 1] in {b"{", b" ", b"\t"}:
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        value = _value(text[at + len(name) : end])
        if value is not None:
            values.append(value)
        at = end + 1
    return values, at


def _value(rest: bytes) -> float | None:
    """The value of a sample, after whose label set there may be a time stamp; None when it is no finite number."""
    fields = rest.rpartition(b"}")[2].split()
    try:
        value = float(fields[0])
    except (IndexError, ValueError):
        return None
    return value if isfinite(value) else None
