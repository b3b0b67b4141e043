"""routingConfig keys of strategies that are not the gateway's, from annotation, settings and `validate`."""

import json
from typing import Annotated, ClassVar

import pytest
from msgspec import Meta

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.pod import Target
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.validation import validate_file
from tests.support import info


class Deep(Strategy):
    """Reads one option."""

    option_types: ClassVar = {"depth": Annotated[int, Meta(ge=1)]}

    def pick(self, request, pods, /):
        return Target(pods[0])


DEEP = f"{__name__}:Deep"
LEAST = "aibrix_mw.strategies.least_request:LeastRequest"


def config(strategy, options, **fields):
    return {"profiles": {"default": {"routingStrategy": strategy, "routingConfig": options}}, **fields}


def made(strategy, options, strategies=None, **fields):
    """A gateway of settings with one model, and what the model's profile says."""
    gateway = create_app({"models": {"m": {"config": config(strategy, options, **fields)}}}, strategies=strategies)
    return gateway, gateway.registry.find("m").config.profiles["default"].routing_config


@pytest.mark.parametrize("strategies", [{}, {"deep": Deep}])
def test_a_key_of_ones_own(strategies, caplog):
    name = "deep" if strategies else DEEP
    gateway, options = made(name, {"depth": 3, "imbalance": 4}, strategies)
    assert options == {"depth": 3, "imbalance": 4}
    assert gateway.catalogue.get(name, options).options == {"depth": 3}
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("value", "reason"), [(0, r"expected `int` >= 1"), ("3", r"expected `int`, got `str`"), (1.5, "expected `int`")]
)
def test_its_values_are_checked(value, reason):
    path = r"models\.m\.config \$\.profiles\.default\.routingConfig\.depth"
    with pytest.raises(ConfigurationError, match=f"{path}: {reason}"):
        made(DEEP, {"depth": value})


@pytest.mark.parametrize("strategy", [LEAST, "least-request", "no_such_module:Thing"])
def test_an_unknown_key_is_reported(strategy, caplog):
    _, options = made(strategy, {"depth": 3})
    assert options == {}
    path = "$.profiles.default.routingConfig.depth"
    assert caplog.messages[0] == f"models.m.config: {path}: unknown key, left out"
    assert len(caplog.messages) == 1 + (strategy == "no_such_module:Thing")


def test_a_locked_strategy_has_its_keys_in_every_profile():
    _, options = made("random", {"depth": 3}, lockedRoutingStrategy=DEEP)
    assert options == {"depth": 3}


def test_the_default_strategy_has_its_keys_where_a_profile_names_none():
    models = {"m": {"config": {"profiles": {"default": {"routingConfig": {"depth": 3}}}}}}
    gateway = create_app({"models": models, "routing": {"default_strategy": DEEP}})
    assert gateway.registry.find("m").config.profiles["default"].routing_config == {"depth": 3}


def test_annotations_too(caplog):
    gateway = create_app({})
    gateway.registry.put("k", info(1, config=json.dumps(config(DEEP, {"depth": 3, "deepth": 4}))))
    assert gateway.registry.find("m").config.profiles["default"].routing_config == {"depth": 3}
    (message,) = caplog.messages
    assert message.endswith("$.profiles.default.routingConfig.deepth: unknown key, left out; did you mean depth?")
    gateway.registry.put("k", info(1, config=json.dumps(config(DEEP, {"depth": 0}))))
    assert gateway.registry.invalid_configs == {"m": 1}


def test_validate_says_the_same(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(DEEP, {"depth": 3})))
    assert (validate_file(file).faults, validate_file(file).warnings) == ([], [])
    file.write_text(json.dumps(config(DEEP, {"depth": "x", "width": 1})))
    report = validate_file(file)
    assert [str(fault) for fault in report.faults] == [
        "$.profiles.default.routingConfig.depth: expected `int`, got `str`"
    ]
    file.write_text(json.dumps(config(DEEP, {"width": 1})))
    assert any("routingConfig.width: unknown key" in warning for warning in validate_file(file).warnings)
