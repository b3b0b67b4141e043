"""The heap of the served process: how the C library maps large bodies, and how often Python looks for garbage."""

import ctypes
import gc
from contextlib import suppress

LARGE_BYTES = 262144
SEARCHES_OF_MIDDLE = 100
"""Searches of the middle generation before one of all; 10 by default (gc.set_threshold)."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_whole() -> None:
    """Have glibc map blocks of `LARGE_BYTES` and more on their own; does nothing under another C library.

    By default glibc moves that bound up to 32 MiB as such blocks are freed (mallopt(3)). Bodies that grow side by side
    then leave holes in the heap: 200 of 64 MiB took 425 to 540 MiB where 256 MiB were held, and take 331 on their own.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)


def search_rarely() -> None:
    """Have Python search all of the heap for garbage ten times less often than by default, and never what is there now.

    A search stops the process for as long as there are objects to look at: 0.3 s where 8,000 streams hold 70 each. On
    their way to so many it took five, each with requests refused or late after it. And it finds next to nothing:
    neither requests nor connections leave cycles behind. Between two searches fewer than a million objects are made
    that outlive a search among the young ones: what of them is garbage after all is bounded by 200 MiB or so.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, SEARCHES_OF_MIDDLE)
