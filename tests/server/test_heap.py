"""The C library is told of large blocks, and Python to search rarely; what it saves is in the functions' own words."""

import ctypes
import gc

import pytest

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


@pytest.fixture
def collector():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_all_of_the_heap_is_searched_rarely_and_what_is_there_never():
    young, middle, _ = gc.get_threshold()
    kept = [[]]
    heap.search_rarely()
    assert gc.get_threshold() == (young, middle, 100)
    assert gc.get_freeze_count() > 1000
    assert not any(known is kept for known in gc.get_objects())
