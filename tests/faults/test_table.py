"""The table is complete, and names tests that exist."""

import ast
from functools import lru_cache
from pathlib import Path

import pytest

from tests.faults.table import FAULTS, TABLE

ROOT = Path(__file__).parents[2]


@lru_cache
def functions_of(file):
    return {node.name for node in ast.parse((ROOT / file).read_bytes()).body if hasattr(node, "name")}


def test_every_fault_is_held():
    assert list(TABLE) == list(range(1, FAULTS + 1))


@pytest.mark.parametrize("fault", TABLE)
def test_what_holds_a_fault_exists(fault):
    assert TABLE[fault]
    for test in TABLE[fault]:
        file, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions_of(file), test
