from random import Random

import pytest

from aibrix_mw.sizing.records import UNFINISHED, Record, Step
from aibrix_mw.sizing.schedule import Plan, arrivals
from aibrix_mw.sizing.verdict import Bounds, judge

BOUNDS = Bounds(0.4, 0.1)
PLAN = Plan(20.0, 2.0, 10.0, 1.0)


def answer(due, first=0.2, token=0.05, tokens=11):
    return Record(due, due, due + first + 10 * token, due + first, due + first + 10 * token, tokens, 512)


def failed(due, error="status_503", detail="503 too busy", after=0.1):
    return Record(due, due, due + after, error=error, detail=detail)


def step(make=answer, every=None, otherwise=failed, plan=PLAN, **fields):
    """A step; `every` so many requests are made by `otherwise`."""
    records = []
    for number, due in enumerate(arrivals(plan, Random(1))):
        records.append(otherwise(due) if every and number % every == 0 else make(due))
    return Step(plan, records, fields.pop("seconds", plan.seconds), **fields)


def kinds(*steps):
    return [reason.kind for reason in judge(steps, BOUNDS).reasons]


def test_nothing_speaks_against_good_answers():
    verdict = judge([step()], BOUNDS)
    assert verdict.sustainable
    figures = verdict.figures
    assert (figures.requests, figures.errors, figures.late, figures.cut) == (200, 0, 0.0, False)
    assert figures.first_p95 == pytest.approx(0.2)
    assert figures.token_p50 == pytest.approx(0.05)
    assert figures.requests_per_second == pytest.approx(20.0, rel=0.03)
    assert figures.tokens_per_second == pytest.approx(220.0, rel=0.03)
    assert (figures.prompt_tokens, figures.output_tokens) == (512, 11)


@pytest.mark.parametrize(
    ("otherwise", "kind", "text"),
    [
        (failed, "errors", r"^\d+\.\d % of the requests failed: 503 too busy$"),
        (lambda due: failed(due, "status_429", "429 slow down"), "limit", "were refused: 429 slow down"),
        (lambda due: failed(due, "stalled", "no byte for 10 s"), "stall", "stalled: no byte for 10 s"),
        (lambda due: failed(due, "no_answer", "no byte for 10 s"), "stall", "stalled: no byte"),
        (lambda due: failed(due, "reset", ""), "errors", "failed: reset"),
    ],
)
def test_failures_are_told_apart(otherwise, kind, text):
    (reason,) = judge([step(every=20, otherwise=otherwise)], BOUNDS).reasons
    assert reason.kind == kind
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(reason.text)


def test_errors_under_one_percent_are_sustainable():
    plan = Plan(20.0, 0.0, 10.0)
    assert kinds(step(every=150, plan=plan)) == ["errors"]  # 2 of 200 are one percent
    assert kinds(step(every=201, plan=plan)) == []


def test_the_most_frequent_failure_is_named_and_the_others_counted():
    mixed = step(
        every=4, otherwise=lambda due: failed(due, *(("reset", "gone") if due > 11 else ("status_503", "busy")))
    )
    (reason,) = judge([mixed], BOUNDS).reasons
    assert "busy; " in reason.text
    assert "failed otherwise" in reason.text


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda due: answer(due, first=0.5), "first_token", "first token p95 0.5 s is above its bound of 0.4 s"),
        (
            lambda due: answer(due, token=0.2),
            "per_token",
            "time per output token p95 0.2 s is above its bound of 0.1 s",
        ),
    ],
)
def test_slow_answers(make, kind, text):
    (reason,) = judge([step(make)], BOUNDS).reasons
    assert (reason.kind, reason.text) == (kind, text)


def test_a_twentieth_may_be_late():
    plan = Plan(20.0, 0.0, 10.0)
    late = lambda due: answer(due, first=0.5)  # noqa: E731
    assert judge([step(every=20, otherwise=late, plan=plan)], BOUNDS).sustainable
    verdict = judge([step(every=19, otherwise=late, plan=plan)], BOUNDS)
    assert [reason.kind for reason in verdict.reasons] == ["first_token"]
    assert verdict.figures.late == 11 / 200
    assert sum(map(sum, verdict.late)) == 11


def test_a_backlog_within_all_bounds():
    assert kinds(step(lambda due: Record(due, due, 2 * due + 0.3, due + 0.1, 2 * due + 0.3, 1000), seconds=40.0)) == [
        "backlog"
    ]


def test_requests_that_were_cut_count_with_the_time_they_have_waited():
    waiting = step(lambda due: Record(due, due, max(due + 0.1, 12.0), error=UNFINISHED), seconds=12.0)
    verdict = judge([waiting], BOUNDS)
    assert verdict.reasons[0].kind == "first_token"
    assert verdict.figures.cut
    assert verdict.figures.errors == 0
    assert verdict.figures.token_p95 is None


def test_steps_at_one_rate_are_judged_together():
    bad = step(every=15, otherwise=lambda due: answer(due, first=0.5))
    assert kinds(bad) == ["first_token"]
    assert kinds(bad, step()) == []
    assert len(judge([bad, step()], BOUNDS).late) == 2


def test_a_step_of_which_nothing_counts():
    verdict = judge([Step(PLAN, [], 0.0)], BOUNDS)
    assert verdict.figures.requests_per_second == 0.0
    assert verdict.figures.first_p50 is None


@pytest.mark.parametrize(
    ("bounds", "silence", "kind"), [(BOUNDS, 1.5, "stall"), (BOUNDS, 0.9, ""), (Bounds(0.4), 9.0, "")]
)
def test_answers_that_stopped_in_the_middle_are_no_slow_ones(bounds, silence, kind):
    def silent(due):
        return Record(due, due, 12.0, min(due + 0.1, 12.0 - silence), 12.0 - silence, 2, error=UNFINISHED)

    reasons = judge([step(every=15, otherwise=silent, seconds=12.0)], bounds).reasons
    assert [reason.kind for reason in reasons if reason.kind == "stall"] == ([kind] if kind else [])
    if kind:
        assert reasons[0].text == "6.5 % of the requests stalled: no token for 1 s in mid-answer"


def test_when_most_wait_too_long_those_who_gave_up_are_no_stall():
    gave_up = {"every": 5, "otherwise": lambda due: failed(due, "no_answer", "no byte for 10 s")}
    assert kinds(step(lambda due: answer(due, first=5.0), **gave_up)) == ["first_token", "stall"]
    assert kinds(step(**gave_up)) == ["stall"]
