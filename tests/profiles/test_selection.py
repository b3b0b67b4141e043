import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.profiles import BUILT_IN, BUILT_IN_PROFILE, ConfigProfile, ModelConfig, config_warnings, parse_config


def model(default="default", /, **profiles):
    """A configuration whose profiles are given by their routingConfig."""
    made = {name: ConfigProfile(name=name, routing_config=config) for name, config in profiles.items()}
    return ModelConfig(default_profile=default, profiles=made)


@pytest.mark.parametrize(
    ("name", "applies"),
    [
        (None, "default"),
        ("", "default"),
        ("  ", "default"),
        ("unknown", "default"),
        ("Batch", "default"),
        ("batch", "batch"),
        ("\t batch ", "batch"),
        ("default", "default"),
    ],
)
def test_a_name_selects_and_everything_else_is_the_default(name, applies):
    assert model(default={}, batch={}).select(name).name == applies


def model_with_default(default):
    return parse_config({"defaultProfile": default, "profiles": {"a": {}, "default": {}}})[0]


@pytest.mark.parametrize(("default", "applies"), [("a", "a"), (" a ", "a"), ("", "default"), (None, "default")])
def test_the_default_profile_can_be_named(default, applies):
    assert model_with_default(default).select("unknown").name == applies


def test_without_the_default_profile_the_built_in_one_applies():
    config = model_with_default("gone")
    assert config.select(None) is BUILT_IN_PROFILE
    assert config.select("a").name == "a"


def test_the_built_in_configuration_is_no_limit_and_no_strategy():
    for name in (None, "batch", "auto"):
        profile = BUILT_IN.select(name, 10, 10)
        assert profile == ConfigProfile(name="default")
        assert profile.routing_strategy is None
        assert not profile.limited
    assert (BUILT_IN.requests_per_second, BUILT_IN.locked_routing_strategy) == (0, None)


P, Q, M, N = "promptTokensGte", "promptTokensLt", "maxTokensGte", "maxTokensLt"


@pytest.mark.parametrize(
    ("profiles", "prompt", "most", "applies"),
    [
        # bounds: Gte inclusive, Lt exclusive
        ({"long": {P: 100}}, 99, None, "default"),
        ({"long": {P: 100}}, 100, None, "long"),
        ({"short": {Q: 100}}, 99, None, "short"),
        ({"short": {Q: 100}}, 100, None, "default"),
        ({"a": {M: 10}}, 0, 10, "a"),
        ({"a": {M: 10}}, 0, 9, "default"),
        ({"a": {N: 10}}, 0, 9, "a"),
        ({"a": {N: 10}}, 0, 10, "default"),
        # all hints must hold, and none holds on what is unknown
        ({"a": {P: 1, M: 10}}, 5, 9, "default"),
        ({"a": {P: 1, M: 10}}, 5, None, "default"),
        ({"a": {N: 10}}, 5, None, "default"),
        ({"a": {Q: 10}}, None, 5, "default"),
        ({"a": {Q: 10}, "b": {N: 10}}, None, 5, "b"),
        ({"a": {P: 0}}, 0, None, "a"),
        # a profile without hints fits nothing by itself
        ({"a": {}, "b": {"blockBytes": 64}}, 5, 5, "default"),
        # most hints
        ({"a": {P: 100}, "z": {P: 1, Q: 1000}}, 500, None, "z"),
        # ties, one rule after the other
        ({"a": {P: 10}, "z": {P: 20}}, 50, None, "z"),
        ({"a": {Q: 10}, "z": {P: 0}}, 5, None, "z"),
        ({"a": {Q: 90}, "z": {Q: 80}}, 50, None, "z"),
        ({"a": {M: 1}, "z": {Q: 80}}, 50, 50, "z"),
        ({"a": {M: 10}, "z": {M: 20}}, 50, 50, "z"),
        ({"a": {N: 80}, "z": {M: 1}}, 50, 50, "z"),
        ({"a": {N: 90}, "z": {N: 80}}, 50, 50, "z"),
        ({"b": {P: 10, N: 80}, "a": {P: 10, N: 80}}, 50, 50, "a"),
    ],
)
def test_auto_takes_the_profile_whose_hints_say_most(profiles, prompt, most, applies):
    config = model(default={}, **profiles)
    assert config.select("auto", prompt, most).name == applies
    assert config.select(" AuTo ", lambda: prompt, most).name == applies


def test_the_default_profile_takes_part_in_auto():
    assert model("a", a={P: 10}, b={P: 5}).select("auto", 50, None).name == "a"
    assert model("a", a={P: 10}, b={P: 5}).select("auto", 1, None).name == "a"


def test_the_prompt_is_measured_only_for_auto_and_once():
    asked = []

    def prompt_tokens():
        asked.append(1)
        return 50

    config = model(default={}, a={P: 10}, b={P: 20, Q: 100})
    config.select(None, prompt_tokens)
    config.select("a", prompt_tokens)
    model(default={}).select("auto", prompt_tokens)
    assert asked == []
    assert config.select("auto", prompt_tokens).name == "b"
    assert asked == [1]


TOKENS = st.integers(0, 4)
HINTED = st.fixed_dictionaries({}, optional=dict.fromkeys((P, Q, M, N), TOKENS))


def reference(profiles, prompt, most):
    """The rule read aloud: keep those that fit, then narrow down by one criterion after the other."""
    quantity = {P: prompt, Q: prompt, M: most, N: most}
    fitting = {}
    for name, hints in profiles.items():
        holding = [
            quantity[key] is not None and (quantity[key] >= bound if key in {P, M} else quantity[key] < bound)
            for key, bound in hints.items()
        ]
        if holding and all(holding):
            fitting[name] = hints
    for criterion in (
        len,
        lambda hints: hints.get(P, -1),
        lambda hints: -hints.get(Q, 99),
        lambda hints: hints.get(M, -1),
        lambda hints: -hints.get(N, 99),
    ):
        best = max(map(criterion, fitting.values()), default=None)
        fitting = {name: hints for name, hints in fitting.items() if criterion(hints) == best}
    return min(fitting, default="default")


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), HINTED, min_size=1),
    st.none() | TOKENS,
    st.none() | TOKENS,
)
def test_auto_agrees_with_the_rule_read_aloud(profiles, prompt, most):
    assert model(**profiles).select("auto", prompt, most).name == reference(profiles, prompt, most)


def warnings_of(annotation):
    return config_warnings(parse_config(annotation)[0])


@pytest.mark.parametrize(
    ("annotation", "warning"),
    [
        (
            {"defaultProfile": "main", "profiles": {"a": {}}},
            "$.defaultProfile: there is no profile 'main': the gateway's built-in one applies",
        ),
        (
            {"profiles": {"default": {"requestsPerSecond": 5}, "b": {}, "a": {"requestsPerSecond": -1}}},
            "$.profiles: clients can leave the limits of default by selecting a, b",
        ),
        (
            {"profiles": {"default": {"requestsPerSecondPerReplica": 0.5}, "b": {"requestsInflight": 2}}},
            "$.profiles: clients can leave the limits of default by selecting b",
        ),
        ({"profiles": {"default": {}, "Auto": {}}}, "$.profiles.Auto: config-profile: auto means another thing"),
        (
            {"profiles": {"default": {"routingConfig": {P: 9, Q: 9}}}},
            "$.profiles.default.routingConfig: promptTokensGte and promptTokensLt never hold together",
        ),
        (
            {"profiles": {"default": {"routingConfig": {N: 0}}}},
            "$.profiles.default.routingConfig: maxTokensGte and maxTokensLt never hold together",
        ),
        (
            {
                "profiles": {
                    "default": {},
                    "a b": {"routingConfig": {"promptLenBucketMinLength": 2, "promptLenBucketMaxLength": 1}},
                }
            },
            (
                '$.profiles["a b"].routingConfig: promptLenBucketMinLength is above promptLenBucketMaxLength: '
                "no prompt fits"
            ),
        ),
    ],
)
def test_what_is_valid_and_probably_not_meant_is_a_warning(annotation, warning):
    assert warnings_of(annotation) == (warning,)


@pytest.mark.parametrize(
    "annotation",
    [
        {"profiles": {"default": {}}},
        {"profiles": {"default": {"requestsPerSecond": 5}, "b": {"requestsPerSecond": 1}}},
        {"profiles": {"default": {"routingConfig": {P: 8, Q: 9}}}},
        {"requestsPerSecond": 9, "profiles": {"default": {"requestsPerSecond": 5}, "b": {}}},
        {"authoritativeRoutingPolicy": True, "profiles": {"default": {"requestsPerSecond": 5}, "b": {}}},
    ],
)
def test_what_is_probably_meant_is_no_warning(annotation):
    assert warnings_of(annotation) == ()


def test_a_limit_without_a_default_profile_is_two_warnings():
    assert len(warnings_of({"profiles": {"a": {"requestsPerSecond": 5}}})) == 2
