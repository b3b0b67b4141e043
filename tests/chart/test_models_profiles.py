"""The schema of config profiles knows what the package's parser knows."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aibrix_mw.profiles import parse_config
from aibrix_mw.profiles.fields import CONFIG_FIELDS, PROFILE_FIELDS, ROUTING_FIELDS, TIMEOUT_FIELDS
from aibrix_mw.strategies import TABLE
from tests.chart.engines import annotations, refused
from tests.chart.rendering import CHART

DEFINITIONS = json.loads((CHART / "values.schema.json").read_text())["$defs"]
PROFILE = DEFINITIONS["profile"]["properties"]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "/models/llama/config"),
        ({"profiles": {}}, "/models/llama/config/profiles"),
        ({"profiles": {" a": {}}}, "/models/llama/config/profiles"),
        (
            {"profiles": {"default": {"routingStrategy": "least-requests"}}},
            "/models/llama/config/profiles/default/routingStrategy",
        ),
        (
            {"profiles": {"default": {"requestsPerSecond": 1.5}}},
            "/models/llama/config/profiles/default/requestsPerSecond",
        ),
        (
            {"profiles": {"default": {"requestsPerSecond": "5"}}},
            "/models/llama/config/profiles/default/requestsPerSecond",
        ),
        ({"profiles": {"default": {"requestPerSecond": 5}}}, "/models/llama/config/profiles/default"),
        (
            {"profiles": {"default": {"routingConfig": {"blockByte": 5}}}},
            "/models/llama/config/profiles/default/routingConfig",
        ),
        (
            {"profiles": {"default": {"timeouts": {"idle_timeout": 0}}}},
            "/models/llama/config/profiles/default/timeouts/idle_timeout",
        ),
        ({"profiles": {"default": {}}, "default": "x"}, "/models/llama/config"),
    ],
)
def test_the_schema_names_the_path_of_what_the_parser_would_refuse(config, path):
    assert f"at '{path}'" in refused(config=config)


def test_an_own_strategy_has_options_of_its_own():
    profiles = {"default": {"routingStrategy": "my_pkg.mod:Mine", "routingConfig": {"whatever": [1]}}}
    assert json.loads(annotations(config={"profiles": profiles})["model.aibrix.ai/config"]) == {"profiles": profiles}


def test_the_schema_knows_every_option_that_the_package_knows():
    assert DEFINITIONS["config"]["properties"].keys() == CONFIG_FIELDS.keys()
    assert PROFILE.keys() == PROFILE_FIELDS.keys()
    assert PROFILE["routingConfig"]["properties"].keys() == ROUTING_FIELDS.keys()
    assert PROFILE["timeouts"]["properties"].keys() == TIMEOUT_FIELDS.keys()


@pytest.mark.parametrize("strategy", [*TABLE, "pd", "prefix-cache:3,least-request:1"])
def test_the_schema_knows_every_strategy(strategy):
    assert (
        f'"{strategy}"'
        in annotations(config={"profiles": {"default": {"routingStrategy": strategy}}})["model.aibrix.ai/config"]
    )


LIMITS = st.integers(-(2**53) + 1, 2**53 - 1)
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=8)
PROFILES = st.dictionaries(
    NAMES.filter(lambda name: name == name.strip()),
    st.fixed_dictionaries(
        {},
        optional={
            "routingStrategy": st.sampled_from([*TABLE, ""]),
            "requestsPerSecond": LIMITS,
            "requestsInflight": LIMITS,
            "requestsPerSecondPerReplica": st.floats(-1e6, 1e6),
            "routingConfig": st.fixed_dictionaries(
                {}, optional={"imbalance": st.integers(0, 99), "combined": st.booleans()}
            ),
        },
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=20)
@given(PROFILES)
def test_whatever_the_schema_takes_the_parser_takes_and_reads_alike(profiles):
    written = annotations(config={"profiles": profiles})["model.aibrix.ai/config"]
    assert json.loads(written) == {"profiles": profiles}
    assert parse_config(written) == parse_config({"profiles": profiles})
