from io import StringIO

from aibrix_mw.sizing.orders import Progress
from aibrix_mw.sizing.progress import Lines, Terminal
from tests.sizing.results import BAD, GOOD, REASON


def told(kind, title=""):
    out = StringIO()
    listener = kind(out, title)
    listener.phase("alone", None)
    listener.progress(Progress(3.0, 0, 5, 0))
    listener.phase("bisect", 20.0)
    listener.progress(Progress(12.4, 25, 100, 1, 0.25))
    listener.step(GOOD)
    listener.step(BAD)
    listener.clear()
    return out.getvalue()


def test_lines_for_a_log():
    assert told(Lines).splitlines() == [
        "single requests, one after the other",
        "20 requests/s (bisect): first token p95 0.21 s, in flight 1, errors 0.0 %: sustainable",
        "22 requests/s (confirm): first token p95 0.9 s, in flight 40, errors 0.2 %: not sustainable, " + REASON.text,
    ]


def test_a_running_line_on_a_terminal():
    shown = told(Terminal, "prefill").split("\r\x1b[K")
    assert shown[1] == "prefill: single requests  3 s  first token p95 -  in flight 0  errors 0"
    assert shown[2] == "prefill: 20 requests/s (bisect)  12 s  first token p95 0.25 s  in flight 25  errors 1"
    assert shown[3].startswith("prefill: 20 requests/s (bisect): first token p95 0.21 s")
    assert shown[3].endswith("\n")
    assert shown[-1] == ""
