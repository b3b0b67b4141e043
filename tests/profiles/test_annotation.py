import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.profiles import ConfigProfile, ModelConfig, parse_config
from aibrix_mw.profiles.fields import TIMEOUT_FIELDS
from aibrix_mw.settings import UpstreamSettings

FULL = """
{"defaultProfile": " default ", "lockedRoutingStrategy": " ", "requestsPerSecond": 200,
 "authoritativeRoutingPolicy": true,
 "profiles": {
   "default": {"routingStrategy": " least-latency ", "requestsPerSecond": 100, "routingConfig": {}, "timeouts": {}},
   " batch ": {"routingStrategy": "throughput", "requestsPerSecond": 20, "requestsInflight": 4,
               "requestsPerSecondPerReplica": 1.5, "timeouts": {"response_timeout": 1200, "keepalive": 0}},
   "pd": {"routingStrategy": "pd", "routingConfig": {
     "promptTokensGte": 1, "promptTokensLt": 2, "maxTokensGte": 3, "maxTokensLt": 4, "blockBytes": 64,
     "maxBlocks": 8, "imbalance": 0, "deviationFactor": 1.5, "maxQueueSeconds": 5, "combined": false,
     "promptLenBucketMinLength": 0, "promptLenBucketMaxLength": 4096,
     "prefillScorePolicy": "prefix_cache", "decodeScorePolicy": "load_balancing"}}}}
"""


def told(annotation):
    raw = annotation if isinstance(annotation, str | bytes) else json.dumps(annotation)
    with pytest.raises(ConfigurationError) as caught:
        parse_config(raw)
    return [str(fault) for fault in caught.value.faults]


def told_of_profile(**fields):
    return told({"profiles": {"p": fields}})


def profile(**fields):
    config, warnings = parse_config({"profiles": {"p": fields}})
    assert warnings == ()
    return config.profiles["p"]


@pytest.mark.parametrize("raw", [FULL, FULL.encode(), json.loads(FULL)], ids=["text", "bytes", "object"])
def test_everything_that_is_documented_is_understood(raw):
    config, warnings = parse_config(raw)
    assert warnings == ()
    routing_config = json.loads(FULL)["profiles"]["pd"]["routingConfig"]
    assert config == ModelConfig(
        default_profile="default",
        locked_routing_strategy=None,
        requests_per_second=200,
        authoritative_routing_policy=True,
        profiles={
            "default": ConfigProfile(name="default", routing_strategy="least-latency", requests_per_second=100),
            "batch": ConfigProfile(
                name="batch",
                routing_strategy="throughput",
                requests_per_second=20,
                requests_inflight=4,
                requests_per_second_per_replica=1.5,
                timeouts={"response_timeout": 1200, "keepalive": 0},
            ),
            "pd": ConfigProfile(name="pd", routing_strategy="pd", routing_config=routing_config),
        },
    )


def test_little_is_enough():
    config, warnings = parse_config('{"profiles": {"default": {}}}')
    assert (config, warnings) == (ModelConfig(profiles={"default": ConfigProfile(name="default")}), ())


def test_null_is_as_good_as_absent():
    names = ("routingStrategy", "routingConfig", "requestsPerSecond", "requestsInflight", "timeouts")
    assert profile(**dict.fromkeys(names)) == ConfigProfile(name="p")
    assert profile(routingConfig={"combined": None}) == ConfigProfile(name="p")


def test_zero_and_less_are_no_limit():
    for value in (0, -5):
        made = profile(requestsPerSecond=value, requestsInflight=value, requestsPerSecondPerReplica=value)
        assert made == ConfigProfile(name="p")
        assert parse_config({"requestsPerSecond": value, "profiles": {"p": {}}})[0].requests_per_second == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2.5", "expected an integer, got a number with a fraction or an exponent"),
        ("100.0", "expected an integer, got a number with a fraction or an exponent"),
        ("1e2", "expected an integer, got a number with a fraction or an exponent"),
        ('"100"', "expected an integer, got a string"),
        ("true", "expected an integer, got a boolean"),
        ("[]", "expected an integer, got an array"),
        ("{}", "expected an integer, got an object"),
        (str(2**53), "the number is too large"),
    ],
)
@pytest.mark.parametrize("key", ["requestsPerSecond", "requestsInflight"])
def test_a_limit_is_an_integer(key, value, reason):
    assert told(f'{{"profiles": {{"p": {{"{key}": {value}}}}}}}') == [f"$.profiles.p.{key}: {reason}"]


def test_the_limit_of_the_model_is_an_integer():
    assert told('{"requestsPerSecond": 0.5, "profiles": {"p": {}}}') == [
        "$.requestsPerSecond: expected an integer, got a number with a fraction or an exponent"
    ]


def test_the_largest_limit_is_what_every_store_can_count():
    assert profile(requestsPerSecond=2**53 - 1).requests_per_second == 2**53 - 1


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"routingStrategy": 1}, "routingStrategy: expected a string, got a number"),
        ({"requestsPerSecondPerReplica": "1"}, "requestsPerSecondPerReplica: expected a number, got a string"),
        ({"requestsPerSecondPerReplica": True}, "requestsPerSecondPerReplica: expected a number, got a boolean"),
        ({"routingConfig": []}, "routingConfig: expected an object, got an array"),
        ({"timeouts": "1s"}, "timeouts: expected an object, got a string"),
        ({"timeouts": {"idle_timeout": 0}}, "timeouts.idle_timeout: expected a number of seconds > 0"),
        ({"timeouts": {"idle_timeout": "1s"}}, "timeouts.idle_timeout: expected a number, got a string"),
        ({"timeouts": {"keepalive": -1}}, "timeouts.keepalive: expected a number >= 0"),
        ({"routingConfig": {"promptTokensGte": -1}}, "routingConfig.promptTokensGte: expected a number >= 0"),
        (
            {"routingConfig": {"maxTokensLt": 1.5}},
            "routingConfig.maxTokensLt: expected an integer, got a number with a fraction or an exponent",
        ),
        ({"routingConfig": {"blockBytes": 0}}, "routingConfig.blockBytes: expected a number >= 1"),
        ({"routingConfig": {"maxBlocks": 0}}, "routingConfig.maxBlocks: expected a number >= 1"),
        ({"routingConfig": {"imbalance": "x"}}, "routingConfig.imbalance: expected an integer, got a string"),
        ({"routingConfig": {"deviationFactor": -0.1}}, "routingConfig.deviationFactor: expected a number >= 0"),
        ({"routingConfig": {"combined": "true"}}, "routingConfig.combined: expected true or false, got a string"),
        ({"routingConfig": {"combined": 1}}, "routingConfig.combined: expected true or false, got a number"),
        (
            {"routingConfig": {"prefillScorePolicy": "x"}},
            "routingConfig.prefillScorePolicy: expected one of prefix_cache, least_request",
        ),
        (
            {"routingConfig": {"decodeScorePolicy": 1}},
            "routingConfig.decodeScorePolicy: expected one of load_balancing, least_request",
        ),
    ],
)
def test_wrong_values_are_named_with_their_path(fields, fault):
    assert told_of_profile(**fields) == [f"$.profiles.p.{fault}"]


def test_all_faults_are_told_at_once():
    annotation = {
        "defaultProfile": 1,
        "lockedRoutingStrategy": {},
        "authoritativeRoutingPolicy": "yes",
        "profiles": {"a b": {"requestsPerSecond": "1"}, "c": None, "d": {"timeouts": {"idle_timeout": []}}},
    }
    assert told(annotation) == [
        "$.defaultProfile: expected a string, got a number",
        "$.lockedRoutingStrategy: expected a string, got an object",
        "$.authoritativeRoutingPolicy: expected true or false, got a string",
        '$.profiles["a b"].requestsPerSecond: expected an integer, got a string',
        "$.profiles.c: expected an object, got null",
        "$.profiles.d.timeouts.idle_timeout: expected a number, got an array",
    ]


@pytest.mark.parametrize(
    ("annotation", "fault"),
    [
        ({}, "$.profiles: expected at least one profile"),
        ({"profiles": None}, "$.profiles: expected at least one profile"),
        ({"profiles": {}}, "$.profiles: expected at least one profile"),
        ({"profiles": []}, "$.profiles: expected an object, got an array"),
        ({"profiles": {"": {}}}, '$.profiles[""]: a profile needs a name'),
        ({"profiles": {"a": {}, " a": {}}}, '$.profiles[" a"]: a second profile of this name'),
        ([], "$: expected an object, got an array"),
        ("null", "$: expected an object, got null"),
        ("", "$: not valid JSON: Expecting value (line 1, column 1)"),
        (
            '{"profiles": {\n"a": {},}}',
            "$: not valid JSON: Expecting property name enclosed in double quotes (line 2, column 9)",
        ),
        (b'{"\xff": 1}', "$: not UTF-8 text (byte 2)"),
        ("[" * 100_000, "$: nested too deeply"),
        ('{"requestsPerSecond": ' + "9" * 5000 + "}", "$: not valid JSON: a number is not finite, or too large"),
        (
            '{"profiles": {"p": {"requestsPerSecondPerReplica": NaN}}}',
            "$: not valid JSON: a number is not finite, or too large",
        ),
        (
            '{"profiles": {"p": {"requestsPerSecondPerReplica": 1e999}}}',
            "$.profiles.p.requestsPerSecondPerReplica: expected a finite number",
        ),
    ],
)
def test_an_annotation_without_a_usable_profile_is_invalid(annotation, fault):
    assert told(annotation) == [fault]


def test_a_number_from_yaml_may_be_infinite_and_is_refused():
    with pytest.raises(ConfigurationError, match="expected a finite number"):
        parse_config({"profiles": {"p": {"requestsPerSecondPerReplica": float("inf")}}})


def test_unknown_keys_are_left_out_and_warned_about_once():
    config, warnings = parse_config(
        {
            "defaultprofile": "a",
            "profiles": {
                "default": {
                    "requestPerSecond": 5,
                    "routingConfig": {"promptTokensGte": 5, "x": "1"},
                    "timeouts": {"connect": 1},
                }
            },
        }
    )
    assert config.profiles == {"default": ConfigProfile(name="default", routing_config={"promptTokensGte": 5})}
    assert warnings == (
        "$.defaultprofile: unknown key, left out; did you mean defaultProfile?",
        "$.profiles.default.requestPerSecond: unknown key, left out; did you mean requestsPerSecond?",
        "$.profiles.default.routingConfig.x: unknown key, left out",
        "$.profiles.default.timeouts.connect: unknown key, left out; did you mean connect_timeout?",
    )


def test_a_key_that_is_given_twice_is_warned_about():
    config, warnings = parse_config('{"profiles": {"p": {"requestsPerSecond": 1}, "p": {"requestsPerSecond": 2}}}')
    assert config.profiles["p"].requests_per_second == 2
    assert warnings == ("$: keys given twice in one object, the last one counts: p",)


def test_timeouts_are_those_of_the_settings():
    assert set(TIMEOUT_FIELDS) == set(UpstreamSettings.__struct_fields__)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["routingStrategy", "routingConfig", "requestsPerSecond", "requestsInflight", "timeouts"])


@given(st.text() | st.binary() | st.dictionaries(st.text(), st.dictionaries(KEYS, JSON)).map(lambda p: {"profiles": p}))
def test_nothing_but_a_configuration_error_comes_out(raw):
    found: object
    try:
        found = parse_config(raw)[0].profiles
    except ConfigurationError as error:
        found = error.faults
    assert found
