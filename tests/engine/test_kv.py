from hypothesis import given, settings
from hypothesis import strategies as st

from aibrix_mw.engine.kv import KVCache


def test_a_published_prefix_is_found_by_the_next():
    cache = KVCache(10)
    first = cache.take((1, 2, 3), 4)
    assert (first.hits, cache.used) == (0, 4)
    cache.publish(first)
    second = cache.take((1, 2, 9), 4)
    assert (second.hits, cache.used) == (2, 6)
    cache.release(first)
    assert (cache.used, cache.cached) == (4, 3)
    cache.release(second)
    assert (cache.used, cache.cached) == (0, 3)


def test_only_leading_blocks_count():
    cache = KVCache(10)
    lease = cache.take((1, 2, 3), 3)
    cache.publish(lease)
    assert cache.take((7, 2, 3), 3).hits == 0


def test_unpublished_blocks_are_found_by_nobody():
    cache = KVCache(10)
    first = cache.take((1, 2), 2)
    assert cache.take((1, 2), 2).hits == 0
    cache.release(first)
    assert (cache.used, cache.cached) == (2, 0)


def test_two_who_computed_the_same_share_it_afterwards():
    cache = KVCache(10)
    leases = [cache.take((1, 2), 3) for _ in range(2)]
    assert cache.used == 6
    for lease in leases:
        cache.publish(lease)
    assert cache.used == 4
    for lease in leases:
        cache.release(lease)
    assert (cache.used, cache.cached) == (0, 2)


def test_the_least_recently_used_goes_first_and_the_end_before_the_beginning():
    cache = KVCache(4)
    for prompt in ((1, 2), (3, 4)):
        lease = cache.take(prompt, 2)
        cache.publish(lease)
        cache.release(lease)
    lease = cache.take((9,), 1)
    assert cache.cached == 3
    cache.release(lease)
    assert cache.take((1, 2), 2).hits == 1
    assert cache.take((3, 4), 2).hits == 2


def test_what_is_held_already_needs_no_further_room():
    cache = KVCache(4)
    lease = cache.take((1, 2, 3), 3)
    cache.publish(lease)
    assert not cache.fits((), 2)
    assert cache.fits((1, 2, 3), 4)
    cache.release(lease)
    assert cache.fits((1, 2, 3), 4)
    assert not cache.fits((1, 2, 3), 5)


prompts = st.lists(st.integers(0, 3), max_size=4).map(
    lambda path: tuple(hash(tuple(path[: i + 1])) for i in range(len(path)))
)
steps = st.lists(st.tuples(st.sampled_from(["take", "publish", "release"]), prompts, st.integers(0, 3)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_never_over_capacity_and_nothing_left_held(steps):
    cache = KVCache(8)
    held = []
    for action, hashes, extra in steps:
        if action == "take" and cache.fits(hashes, len(hashes) + extra):
            held.append(cache.take(hashes, len(hashes) + extra))
        elif action == "publish" and held:
            lease = held[extra % len(held)]
            if len(lease.shared) == lease.hits:
                cache.publish(lease)
        elif action == "release" and held:
            cache.release(held.pop(extra % len(held)))
        assert 0 <= cache.used <= 8
        assert cache.used + len(cache._idle) <= 8
    for lease in held:
        cache.release(lease)
    assert cache.used == 0
