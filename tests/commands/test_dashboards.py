"""`aibrix-mw dashboards`, and the files in the chart."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from aibrix_mw.cli import main
from aibrix_mw.dashboards import files

CHART = Path(__file__).parents[2] / "chart"


def run(*arguments):
    return CliRunner().invoke(main, ["dashboards", *map(str, arguments)])


def test_the_charts_files_are_what_the_code_makes():
    made = files()
    assert {path: (CHART / path).read_text() for path in made} == made, "run: aibrix-mw dashboards --out chart"
    there = {str(file.relative_to(CHART)) for folder in ("dashboards", "alerts") for file in (CHART / folder).iterdir()}
    assert there == made.keys()


def test_files_are_written(tmp_path):
    out = tmp_path / "new" / "folder"
    done = run("--out", out)
    assert done.exit_code == 0
    assert done.output.splitlines() == [str(out / path) for path in files()]
    assert all((out / path).read_text() == text for path, text in files().items())


def test_targets_of_ones_own(tmp_path):
    done = run("--out", tmp_path, "--objective", 0.99, "--first-token", 1, "--reference", "https://a.org/r.md")
    assert done.exit_code == 0
    text = (tmp_path / "alerts" / "aibrix-mw.yaml").read_text()
    assert "(14.4 * 0.01)" in text
    assert "runbook_url: https://a.org/r.md#aibrixgatewayerrorbudgetburn" in text


@pytest.mark.parametrize("share", ["0", "1", "99.9"])
def test_an_objective_is_a_share(share, tmp_path):
    done = run("--out", tmp_path, "--objective", share)
    assert done.exit_code == 2
    assert "--objective" in done.output


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "dashboards").write_text("in the way")
    done = run("--out", tmp_path)
    assert done.exit_code == 1
    assert f"cannot write to {tmp_path}" in done.output
