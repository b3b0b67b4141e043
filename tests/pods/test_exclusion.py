"""Why a pod is no candidate."""

import pytest

from aibrix_mw.pods.exclusion import exclusion
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.selector import Selector
from tests.support import info

POD = Pod(info(1, labels={"zone": "a"}))
OTHER = Selector("zone=b")


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("filter", {"selector": OTHER, "max_in_flight": 2, "tried": [POD], "ejected": [POD]}),
        ("in_flight", {"max_in_flight": 2, "tried": [POD], "ejected": [POD]}),
        ("tried", {"max_in_flight": 3, "tried": [POD], "ejected": [POD]}),
        ("ejected", {"selector": Selector("zone=a"), "ejected": [POD]}),
        ("held_back", {}),
    ],
)
def test_the_first_reason_that_holds(reason, options):
    POD.in_flight = 2
    assert exclusion(POD, **options) == reason


def test_what_discovery_says_comes_first():
    assert exclusion(Pod(info(2, excluded="terminating")), selector=OTHER) == "terminating"
