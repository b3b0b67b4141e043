"""The last requests that did not end well."""

from aibrix_mw.outcome import Outcome
from aibrix_mw.profiles import BUILT_IN_PROFILE
from aibrix_mw.refusals import Refusals
from aibrix_mw.scope import PROFILE, REQUEST, REQUEST_ID
from tests.support import Clock, ask_for

LIMITED = Outcome(name="limited", status=429)


def scope(path="/v1/chat/completions", model=None):
    made = {"type": "http", "path": path}
    if model:
        REQUEST.put(made, ask_for(b'{"model": "%b"}' % model.encode()))
        PROFILE.put(made, BUILT_IN_PROFILE)
        REQUEST_ID.put(made, b"id-1")
    return made


def test_a_flood_is_one_line():
    clock = Clock(5.0)
    refusals = Refusals(clock=clock)
    for _ in range(1000):
        clock.now += 1
        refusals.note(scope(model="m"), LIMITED)
    (found,) = refusals.last()
    assert (found.times, found.time, found.model, found.profile) == (1000, 1005.0, "m", "default")
    assert found.request_id == "id-1"


def test_the_newest_comes_first_and_the_oldest_goes():
    refusals = Refusals(kept=2)
    for model in ("a", "b", "c"):
        refusals.note(scope(model=model), LIMITED)
    assert [(found.model, found.times) for found in refusals.last()] == [("c", 1), ("b", 1)]


def test_what_is_not_known_is_none_and_long_paths_are_cut():
    refusals = Refusals()
    refusals.note(scope("/" + "x" * 1000), Outcome(name="not_found", status=404))
    (found,) = refusals.last()
    assert (found.model, found.profile, found.request_id, len(found.path)) == (None, None, None, 128)
