import msgspec
import pytest

from aibrix_mw.simulation.compare import Result
from aibrix_mw.simulation.records import Figures
from aibrix_mw.simulation.table import LEGEND, as_html, as_text, rows

FIGURES = Figures(
    requests=10,
    first_p50=0.1,
    first_p95=0.25,
    first_p99=1.0,
    whole_p50=2.0,
    whole_p95=3.0,
    token_p50=0.02,
    token_p99=0.04,
    cache_hits=0.416,
    skew=1.5,
    fairness=0.9,
    others=float("nan"),
    busy=0.5,
)
RESULTS = [Result("prefix-cache", FIGURES, 1), Result("a<b", msgspec.structs.replace(FIGURES, skew=None), 1)]


def test_rows():
    seconds = ["0.100", "0.250", "1.000", "2.000", "3.000", "0.020", "0.040"]
    assert rows(RESULTS)[1] == ["prefix-cache", *seconds, "41.6 %", "1.50", "0.90", "-"]
    assert rows(RESULTS)[2][9] == "-"


def test_text_is_aligned():
    *lines, empty, legend = as_text(RESULTS).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert (empty, legend) == ("", LEGEND)


@pytest.mark.parametrize("part", ["<th>strategy</th>", "<td>41.6 %</td>", "<td>a&lt;b</td>"])
def test_html(part):
    assert part in as_html(RESULTS)
