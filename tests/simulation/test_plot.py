import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.simulation import plot
from tests.simulation.test_table import RESULTS


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")])
def test_formats(tmp_path, suffix, begin):
    path = tmp_path / f"plot{suffix}"
    plot.write(path, "chat & more", RESULTS)
    assert path.read_bytes().startswith(begin)


def test_a_page_holds_picture_and_table(tmp_path):
    plot.write(tmp_path / "plot.html", "chat & more", RESULTS)
    text = (tmp_path / "plot.html").read_text()
    assert "<h1>chat &amp; more</h1>" in text
    assert "<svg" in text
    assert "<td>prefix-cache</td>" in text
    assert "http://" not in text.partition("<svg")[0]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ends in none of \.png, \.svg, \.html"):
        plot.write(tmp_path / "plot.gif", "", RESULTS)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        plot.write(tmp_path / "missing" / "plot.png", "", RESULTS)


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aibrix-mw\[simulate\]'"):
        plot.check(tmp_path / "plot.png")
