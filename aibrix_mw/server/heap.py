"""The heap: the C library told of large bodies, Python's collector of how many requests run side by side."""

import ctypes
import gc
from contextlib import suppress

LARGE_BYTES = 262144
YOUNG_CONTAINERS = 10_000
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


def collect_seldom() -> None:
    """Have the collector leave alone what is there now, and look for garbage after so many new containers.

    Requests leave no cycles behind, but 16 of two legs each hold more than the 700 containers after which Python looks:
    that was 21 µs a request, two thirds of them in looks of 33 ms at all that the process has imported.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_CONTAINERS)
