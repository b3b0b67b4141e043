import re

import msgspec
import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.sizing import plot
from aibrix_mw.sizing.estimate import Estimate
from aibrix_mw.sizing.search import Bracket
from aibrix_mw.sizing.verdict import Bounds
from tests.sizing.results import BAD, GOOD, document, measured


def test_a_page_of_its_own(tmp_path):
    file = tmp_path / "report.html"
    plot.write(file, document())
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert "m&lt;1&gt;" in text
    assert "ceil(50 / (20.4 x 0.65))" in text
    assert "<td>no: first token</td>" in text
    assert text.count("<svg") == 1
    assert not re.search(r"(src|href)=\"http", text)


def test_what_is_drawn():
    first, token, throughput, errors = plot.draw(measured()).axes
    assert [axes.get_title() for axes in (first, throughput, errors)] == [
        "time to the first token, s",
        "throughput, answers/s",
        "errors, %",
    ]
    labels = [text.get_text() for text in first.get_legend().get_texts()]
    assert labels == ["p50", "p95", "bound of the p95", "knee 20.4/s"]
    assert list(first.lines[1].get_xdata()) == [20.0, 22.0]
    assert list(first.lines[1].get_ydata()) == [0.21, 0.9]
    assert list(token.lines[1].get_xdata()) == [20.0]  # the other step has no time per token
    assert list(errors.lines[0].get_ydata()) == [0.0, 0.2]


def test_without_knee_bound_or_upper_end():
    (first, *_) = plot.draw(measured(None, bounds=Bounds())).axes
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["p50", "p95"]
    assert plot.draw(measured(Estimate(20.0, 19.0, None)))


def test_a_run_without_steps_and_one_that_ended_early():
    text = plot.page(document(prefill=measured(None, tried=(), bracket=Bracket(None, None), end="interrupted")))
    assert "<svg" not in text
    assert "PARTIAL" in text


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="its folder is not there"):
        plot.check(tmp_path / "missing" / "report.html")


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(ConfigurationError, match="Is a directory"):
        plot.write(tmp_path, document())


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aibrix-mw\[simulate\]'"):
        plot.check(tmp_path / "report.html")


def test_the_last_word_at_a_rate_is_drawn():
    (first, *_) = plot.draw(measured(tried=(BAD, GOOD, msgspec.structs.replace(GOOD, rate=22.0)))).axes
    assert list(first.lines[1].get_ydata()) == [0.21, 0.21]
