"""Results as a measurement leaves them."""

from aibrix_mw.sizing.document import Document
from aibrix_mw.sizing.estimate import Estimate
from aibrix_mw.sizing.measure import Measured, Tried
from aibrix_mw.sizing.records import Punctuality
from aibrix_mw.sizing.search import Bracket
from aibrix_mw.sizing.sizes import Want, answer
from aibrix_mw.sizing.verdict import Bounds, Figures, Reason

ALONE = Figures(30, 0, 0.2, 0.21, 0.05, 0.06, 1.0, 11.0, 100.0, 11.0, 1.0, 0.0, 0.0, cut=False)
GOOD = Tried(20.0, "bisect", 25.0, ALONE, (), Punctuality(0.001, 0.1))
REASON = Reason("first_token", "first token p95 0.9 s is above its bound of 0.42 s")
SLOW = Figures(500, 1, 0.3, 0.9, 0.05, None, 21.0, 231.0, 100.0, 11.0, 40.0, 3.0, 0.4, cut=True)
BAD = Tried(22.0, "confirm", 9.0, SLOW, (REASON,), Punctuality(0.002, 0.2))


FOUND = Estimate(20.46, 19.0, 22.0)
WANT = Want(target_rps=50.0)


def measured(estimate=FOUND, **changes):
    fields = {
        "unloaded": ALONE,
        "bounds": Bounds(0.42, 0.12),
        "tried": (BAD, GOOD),
        "bracket": Bracket(20.0, 22.0, confirmed=True),
        "estimate": estimate,
        "reason": REASON,
    }
    return Measured(**fields | changes)


def document(want=WANT, **runs):
    runs = runs or {"replica": measured()}
    return Document("http://127.0.0.1:8000", "m<1>", "100 prompt tokens", runs, answer(runs, want))
