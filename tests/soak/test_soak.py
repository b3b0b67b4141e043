"""A short soak, so that the long one (`make soak`) does not rot; and that none of its checks is blind."""

import pytest

from tests.soak.report import report
from tests.soak.soak import Soak, Terms


@pytest.mark.slow
async def test_a_short_soak(tmp_path):
    """Faults come in quick succession; of one round nothing is warm, so memory is not judged."""
    terms = Terms(seconds=6, seed="short", clients=12, every=0.8, rounds=1)
    soaked = await Soak(tmp_path, terms).run()
    bad = [check for check in soaked.checks if not check.good]
    assert not bad, report(terms, soaked)
    assert len(soaked.seen) > 100
    assert len(soaked.faults) >= 5
