"""Few series out of a long Prometheus text: an engine exports thousands of lines, and strategies need some twenty."""

from collections.abc import Iterable
from math import isfinite

LOOK_AGAIN = 60
"""Readings after which series that were absent are looked for again."""
DRIFT = 256
"""Bytes by which a text may have become shorter before a series since the last reading; by more, and the series is
looked for from the beginning."""

_AFTER_NAME = (b"{", b" ", b"\t")


class SeriesReader:
    """Reads the samples of some series out of one engine's metrics, again and again.

    An engine writes its families in the same order each time, and nearly as long: after the first reading each series
    is looked for from shortly before the place where it was, so that most of the text is not even searched.
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        self.names = frozenset(names)
        self._places: list[tuple[int, bytes]] = []
        self._readings = 0

    def read(self, text: bytes) -> dict[bytes, list[float]]:
        """Samples by series, one per label set; a series that is absent, or not finite, is not in it."""
        places = self._places
        if self._readings % LOOK_AGAIN == 0:
            known = {name for _, name in places}
            places = [*places, *((len(text), name) for name in self.names - known)]
        self._readings += 1
        found: dict[bytes, list[float]] = {}
        self._places = []
        for place, name in places:
            at = _first_line(text, name, place)
            if at >= 0:
                self._places.append((at, name))
                samples = _samples(text, name, at)
                if samples:
                    found[name] = samples
        return found


def _first_line(text: bytes, name: bytes, place: int) -> int:
    """Where a series begins, which was at `place` before; -1 when there is none."""
    at = _find(text, name, max(0, place - DRIFT))
    if at > 0 and text.startswith(name, text.rfind(b"\n", 0, at - 1) + 1):
        at = -1  # in the midst of it
    return at if at >= 0 else _find(text, name, 0)


def _find(text: bytes, name: bytes, start: int) -> int:
    """Where the first line of a series begins, at `start` or later; -1 when there is none."""
    at = start
    while True:
        at = text.find(name, at)
        if at < 0:
            return -1
        if (at == 0 or text[at - 1] == 10) and text[at + len(name) : at + len(name) + 1] in _AFTER_NAME:
            return at
        at += len(name)


def _samples(text: bytes, name: bytes, at: int) -> list[float]:
    """The values of consecutive lines of one series."""
    values: list[float] = []
    while text.startswith(name, at) and text[at + len(name) : at + len(name) + 1] in _AFTER_NAME:
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        value = _value(text[at + len(name) : end])
        if value is not None:
            values.append(value)
        at = end + 1
    return values


def _value(rest: bytes) -> float | None:
    """The value of a sample, after whose label set there may be a time stamp; None when it is no finite number."""
    fields = rest.rpartition(b"}")[2].split()
    try:
        value = float(fields[0])
    except (IndexError, ValueError):
        return None
    return value if isfinite(value) else None
