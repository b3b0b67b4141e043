"""What one source says, under its new names."""

import logging

import pytest

from aibrix_mw.settings import load, parse_settings
from aibrix_mw.settings.rules import RENAMED


def told(checked):
    assert (checked.settings is None) == bool(checked.faults)
    return [str(fault) for fault in checked.faults]


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "settings.yaml"
        file.write_text(text)
        return file

    return write


class TestRenamed:
    @pytest.fixture(autouse=True)
    def table(self, monkeypatch):
        monkeypatch.setitem(RENAMED, "balancing.tries", "routing.attempts")

    def test_the_value_moves_with_one_warning(self, write, caplog):
        with caplog.at_level(logging.WARNING, "aibrix_mw"):
            assert load(write("balancing: {tries: 3}"), {}).routing.attempts == 3
        (record,) = caplog.records
        assert record.getMessage() == (
            "settings: balancing.tries is now called routing.attempts; the old name will stop working"
        )

    def test_variables_and_flags_move_too(self):
        assert load(env={"AIBRIX_MW_BALANCING__TRIES": "3"}).routing.attempts == 3
        assert load(env={}, flags={"balancing.tries": 4}).routing.attempts == 4

    def test_a_fault_names_the_new_path_and_where_the_value_stands(self):
        checked = parse_settings("\nbalancing: {tries: x}")
        assert told(checked) == ["routing.attempts: expected an integer, got a string (line 2)"]
        assert len(checked.warnings) == 1

    def test_both_names_in_one_source_are_a_fault(self):
        checked = parse_settings("balancing: {tries: 3}\nrouting: {attempts: 4}")
        assert told(checked) == ["balancing.tries: is the old name of routing.attempts, which is given too"]

    def test_the_neighbours_of_a_renamed_key_stay(self):
        assert told(parse_settings("balancing: {tries: 3, other: 1}")) == ["balancing: unknown key (line 1)"]
        assert told(parse_settings("balancing: 3")) == ["balancing: unknown key (line 1)"]
        assert told(parse_settings("routing: {attempts: 3}")) == []
