from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.pods.selector import Selector

LABELS = {"tier": "gold", "zone": "", "example.org/gpu": "a100"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("  ", True),
        ("tier", True),
        ("zone", True),
        ("colour", False),
        ("!colour", True),
        ("! tier", False),
        ("tier=gold", True),
        ("tier==gold", True),
        ("tier = gold", True),
        ("tier=silver", False),
        ("colour=red", False),
        ("zone=", True),
        ("tier=", False),
        ("colour=", False),
        ("tier!=silver", True),
        ("tier!=gold", False),
        ("colour!=red", True),
        ("zone!=", False),
        ("tier in (gold, silver)", True),
        ("tier in(gold)", True),
        ("tier in (silver)", False),
        ("colour in (red)", False),
        ("zone in ()", True),
        ("zone in (a,)", True),
        ("colour in ()", False),
        ("tier notin (silver)", True),
        ("tier notin (gold,silver)", False),
        ("colour notin (red)", True),
        ("example.org/gpu=a100", True),
        ("tier=gold,zone", True),
        ("tier=gold , !zone", False),
        ("tier in (gold,silver),example.org/gpu notin (h100),!colour", True),
    ],
)
def test_holds_as_in_kubernetes(text, holds):
    assert Selector(text).matches(LABELS) is holds


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "a,",
        "a, ",
        "a,,b",
        ",a",
        "a b",
        "a=b c",
        "a===b",
        "a=b=c",
        "a=!b",
        "a in",
        "a in b",
        "a in (b",
        "a in (b))",
        "a in ((b))",
        "a inn (b)",
        "notin (a)",
        "!a=b",
        "!a in (b)",
        "a>1",
        "/a",
        "a/b/c",
        "-a",
        "a=-b",
        "a in (b c)",
        "é",
        "a=é",
        "!",
        "!!a",
    ],
)
def test_refuses_what_is_no_selector(text):
    with pytest.raises(ValueError, match="not a label"):
        Selector(text)


def test_a_long_hostile_text_is_refused_quickly():
    for text in ("a" * 50_000 + " (", "a" + " " * 50_000 + "b", "a in (" + "b," * 20_000, "a.-" * 20_000):
        with pytest.raises(ValueError, match="not a label"):
            Selector(text)


KEYS = st.sampled_from(["a", "b.c", "x-1", "example.org/k"])
VALUES = st.sampled_from(["", "1", "v_2", "V.3"])
SPACE = st.sampled_from(["", " ", "  "])
REQUIREMENTS: st.SearchStrategy[tuple[str, str, list[str]]] = st.one_of(
    st.tuples(st.sampled_from(["exists", "absent"]), KEYS, st.just([])),
    st.tuples(st.sampled_from(["=", "==", "!="]), KEYS, st.lists(VALUES, min_size=1, max_size=1)),
    st.tuples(st.sampled_from(["in", "notin"]), KEYS, st.lists(VALUES, min_size=1, max_size=3)),
)


def holds(requirement, labels):
    operator, key, values = requirement
    match operator:
        case "exists":
            return key in labels
        case "absent":
            return key not in labels
        case "=" | "==" | "in":
            return key in labels and labels[key] in values
        case _:
            return key not in labels or labels[key] not in values


def written(requirement, space):
    operator, key, values = requirement
    match operator:
        case "exists":
            return space + key + space
        case "absent":
            return f"{space}!{space}{key}"
        case "in" | "notin":
            return f"{key} {operator}{space}({space}{f'{space},'.join(values)}{space}){space}"
        case _:
            return f"{space}{key}{space}{operator}{space}{values[0]}{space}"


@given(st.lists(REQUIREMENTS, max_size=4), SPACE, st.dictionaries(KEYS, VALUES))
def test_agrees_with_a_naive_evaluation(requirements, space, labels):
    selector = Selector(",".join(written(requirement, space) for requirement in requirements))
    assert len(selector.requirements) == len(requirements)
    assert selector.matches(labels) == all(holds(requirement, labels) for requirement in requirements)


@given(st.text(alphabet="ab=!,() \tinot./-é\n", max_size=30))
def test_any_text_is_a_selector_or_a_value_error(text):
    with suppress(ValueError):
        Selector(text).matches({"a": "b"})
