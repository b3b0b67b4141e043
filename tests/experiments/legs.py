"""What disaggregation is for: answers whose tokens come evenly beside long prompts."""

from aibrix_mw.simulation.compare import capacity, compare
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet
from aibrix_mw.simulation.generators import long_prompt
from aibrix_mw.simulation.table import as_text
from tests.experiments.promises import Report, at_most, by_name
from tests.experiments.workloads import LOAD, shapes

PREFILLS = 5


def disaggregated() -> Report:
    """The same eight engines, as five prefill and three decode pods, and as eight that do both."""
    fleet = Fleet(engines=(EngineModel(),) * 8, prefills=PREFILLS)
    rate = LOAD * capacity(fleet, long_prompt)
    entries = [long_prompt(shape) for shape in shapes(rate)]
    results = compare(("pd", "least-request", "prefix-cache"), fleet, entries)
    found = by_name(results)
    ours, base = found["pd"], found["least-request"]
    promises = [
        at_most("pd, time per output token p99 / that of least-request", ours.token_p99 / base.token_p99, 1.0),
        at_most("pd, first token p95 / that of least-request", ours.first_p95 / base.first_p95, 1.0, held=False),
    ]
    return Report(f"long prompts, {rate:.1f} requests/s, {PREFILLS} prefill pods of 8", as_text(results), promises)
