"""The heap of the served process: how the C library maps large bodies, and how often Python looks for garbage."""

import ctypes
import gc
from contextlib import suppress

LARGE_BYTES = 262144
SEARCHES = (10_000, 2, 25)
"""New objects before a search among the young, such searches before one of the middle generation, and those before one
of all; 700, 10 and 10 by default (gc.set_threshold)."""
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
    """Have Python search for garbage less often than by default, and never in what is there now.

    What a request makes is gone before a search among 10,000 young objects looks at it: a request of two legs costs
    6 % less than with 700. A search of all stops the process for as long as there are objects to look at: 0.3 s where
    8,000 streams hold 70 each. On their way to so many it took five, each with requests refused or late after it. And
    it finds next to nothing: neither requests nor connections leave cycles behind. Between two of them a million
    more objects are made than freed: what of these is garbage after all is bounded by 200 MiB or so.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SEARCHES)
