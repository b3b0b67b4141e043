"""What the heap is told; what that saves is in the functions' own words."""

import ctypes
import gc

from aibrix_mw.server import heap


def test_large_blocks_are_mapped_on_their_own(monkeypatch):
    told = []

    class Library:
        def mallopt(self, *options):
            told.append(options)
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    heap.keep_whole()
    assert told == [(-3, heap.LARGE_BYTES), (-1, heap.LARGE_BYTES)]


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    heap.keep_whole()


def test_the_collector_leaves_alone_what_is_there(monkeypatch):
    told = []
    monkeypatch.setattr(gc, "freeze", lambda: told.append("freeze"))
    monkeypatch.setattr(gc, "set_threshold", lambda *thresholds: told.append(thresholds))
    heap.collect_seldom()
    assert told == ["freeze", (heap.YOUNG_CONTAINERS,)]
