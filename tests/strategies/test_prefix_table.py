"""Who was sent which prefix."""

from random import Random

import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from aibrix_mw.strategies.prefix_table import MAX_AGE, PrefixTable, chain


def test_the_chain():
    text = b"a" * 128 + b"b" * 128 + b"c" * 127
    first = xxhash.xxh64_intdigest(b"a" * 128, 7)
    assert chain(text, 7, 128, 1024) == [first, xxhash.xxh64_intdigest(b"b" * 128, first)]
    assert chain(text, 7, 128, 1) == [first]
    assert chain(b"a" * 127, 7, 128, 1024) == []
    assert chain(b"", 7, 128, 1024) == []


def test_any_change_alters_all_that_follow():
    one, other = chain(b"x" * 1280, 0, 128, 1024), chain(b"x" * 300 + b"y" + b"x" * 979, 0, 128, 1024)
    assert one[:2] == other[:2]
    assert not set(one[2:]) & set(other[2:])
    assert not set(one) & set(chain(b"x" * 1280, 1, 128, 1024))


def test_contiguous_leading_blocks():
    table = PrefixTable()
    table.insert([1, 2, 3, 4], "a", 0.0)
    table.insert([1, 2, 30], "b", 1.0)
    assert table.match([1, 2, 3, 4, 5], 2.0) == {"a": 4, "b": 2}
    assert table.match([1, 2, 30], 2.0) == {"a": 2, "b": 3}
    assert table.match([1, 99, 3], 2.0) == {"a": 1, "b": 1}
    assert table.match([2, 3, 4], 2.0) == {}
    assert table.match([], 2.0) == {}


def test_entries_expire():
    table = PrefixTable()
    table.insert([1, 2], "a", 0.0)
    table.insert([1], "a", 10.0)
    assert table.match([1, 2], MAX_AGE - 1) == {"a": 2}
    assert table.match([1, 2], MAX_AGE + 5) == {"a": 1}
    table.insert([9], "b", MAX_AGE + 20)
    assert len(table) == 1


def test_a_pod_that_has_left_holds_nothing():
    table = PrefixTable()
    table.insert([1, 2], "a", 0.0)
    table.insert([1], "b", 1.0)
    table.forget("a", 2.0)
    assert table.match([1, 2], 3.0) == {"b": 1}
    table.insert([1, 2], "a", 4.0)  # the same uid again: an engine by its address
    assert table.match([1, 2], 5.0) == {"a": 2, "b": 1}
    table.forget("b", 4.0 + 2 * MAX_AGE)
    assert table._gone.keys() == {"b"}


def test_the_least_recently_used_go_first():
    table = PrefixTable(size=6)
    table.insert([1, 2, 3], "a", 0.0)
    table.insert([11, 12, 13], "a", 1.0)
    table.insert([1, 2, 3], "b", 2.0)
    table.insert([21, 22], "a", 3.0)
    assert table.match([11, 12, 13], 4.0) == {}
    assert table.match([1, 2, 3], 4.0) == {"a": 3, "b": 3}
    assert len(table) == 5


def test_it_stays_within_its_bound():
    table, rng = PrefixTable(size=1000), Random(1)
    for turn in range(500):
        start = rng.randrange(30)
        table.insert([hash((start, index, turn // 7 if index > 5 else 0)) for index in range(40)], "a", float(turn))
        assert len(table) <= 1000
    assert sum(len(run.hashes) for run in table._used) == len(table)


class Naive:
    """hash -> {uid: last use}, as the table is described."""

    def __init__(self):
        self.held = {}

    def insert(self, hashes, uid, now):
        for block in hashes:
            self.held.setdefault(block, {})[uid] = now

    def match(self, hashes, now):
        depths = {}
        for uid in {uid for holders in self.held.values() for uid in holders}:
            depth = 0
            while depth < len(hashes) and now - self.held.get(hashes[depth], {}).get(uid, -1e9) < MAX_AGE:
                depth += 1
            if depth:
                depths[uid] = depth
        return depths


prompts = st.lists(st.integers(0, 2), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(prompts, st.sampled_from("abc"), st.integers(0, 700)), max_size=25), prompts)
def test_it_does_what_the_naive_table_does(insertions, asked):
    table, naive, now = PrefixTable(), Naive(), 0.0
    for prompt, uid, pause in insertions:
        now += pause
        hashes = [hash(tuple(prompt[: depth + 1])) for depth in range(len(prompt))]
        assert table.match(hashes, now) == naive.match(hashes, now)
        table.insert(hashes, uid, now)
        naive.insert(hashes, uid, now)
    hashes = [hash(tuple(asked[: depth + 1])) for depth in range(len(asked))]
    assert table.match(hashes, now) == naive.match(hashes, now)
