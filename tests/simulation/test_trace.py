import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.simulation.trace import Entry, read_trace, write_trace


def faults(path):
    with pytest.raises(ConfigurationError) as caught:
        read_trace(path)
    return [str(fault) for fault in caught.value.faults]


def test_what_was_written_is_read(tmp_path):
    entries = [
        Entry(0.5, 150, blocks=(("system", 512), ("q", 200)), session="s", user="u", answer="a"),
        Entry(1.0, 7, text="hello"),
    ]
    write_trace(tmp_path / "t.jsonl", entries)
    assert read_trace(tmp_path / "t.jsonl") == entries


def test_lines_are_sorted_by_arrival_and_empty_ones_skipped(tmp_path):
    (tmp_path / "t").write_text(
        '{"arrival": 2, "output": 1, "text": "b"}\n\n{"arrival": 1, "output": 1, "text": "a"}\n'
    )
    assert [entry.text for entry in read_trace(tmp_path / "t")] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "malformed"),
        ('{"arrival": 0, "output": 0, "text": "a"}', "`int` >= 1 - at `$.output`"),
        ('{"arrival": -1, "output": 1, "text": "a"}', "`float` >= 0.0 - at `$.arrival`"),
        ('{"arrival": 0, "output": 1, "text": "a", "prompt": "a"}', "unknown field `prompt`"),
        ('{"arrival": 0, "output": 1}', "either `blocks` or `text`"),
        ('{"arrival": 0, "output": 1, "text": "a", "blocks": [["a", 1]]}', "either `blocks` or `text`"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, reason):
    (tmp_path / "t").write_text('{"arrival": 0, "output": 1, "text": "a"}\n' + line + "\n")
    (fault,) = faults(tmp_path / "t")
    assert fault.startswith(f"{tmp_path}/t:2")
    assert reason in fault


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty").write_text("\n")
    assert "holds no request" in faults(tmp_path / "empty")[0]
    assert "No such file" in faults(tmp_path / "missing")[0]
