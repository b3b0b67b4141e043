"""The report as a browser shows it."""

import shutil
import subprocess

import pytest
from matplotlib.image import imread

from aibrix_mw.sizing import plot
from tests.sizing.results import document, measured

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs the system package chromium")


def browse(tmp_path, page, *words):
    """Open a file in a browser that reaches nobody; what it prints, and what it complains of."""
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    alone = ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--window-size=1180,1250"]
    done = subprocess.run(
        [CHROMIUM, *quiet, *alone, *words, page.as_uri()], capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode(), [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "report.html"
    plot.write(file, document(prefill=measured(), decode=measured()))
    return file


def test_a_browser_shows_text_table_and_plots(tmp_path, page):
    shown, complaints = browse(tmp_path, page, "--dump-dom")
    assert shown.count("<svg") == 2
    assert shown.count("<table>") == 2
    assert "decode replicas = ceil(" in shown
    assert complaints == []


def test_a_picture_of_it(tmp_path, page):
    picture = tmp_path / "report.png"
    browse(tmp_path, page, f"--screenshot={picture}")
    pixels = imread(picture)
    assert pixels.shape[:2] == (1250, 1180)
    knee = (abs(pixels[:, :, :3] - (0x22 / 255, 0xAA / 255, 0x77 / 255)).max(axis=2) < 0.02).sum()
    assert knee > 100  # the line that marks it, in each plot
