"""The models that the settings name."""

import pytest

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.definitions import define_models
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import ModelSettings

CONFIG = {"profiles": {"default": {"routingStrategy": "random"}}}


def define(registry, **models):
    define_models(registry, models)
    return registry


def addresses(registry, name):
    return [pod.info.address.netloc for pod in registry.serving(name)]


def test_endpoints_aliases_and_config():
    model = ModelSettings(config=CONFIG, aliases=("gpt-4o",), endpoints=("http://10.0.0.7:9000",), engine="sglang")
    registry = define(PodRegistry(), llama=model)
    assert addresses(registry, "llama") == addresses(registry, "gpt-4o") == ["10.0.0.7:9000"]
    found = registry.find("gpt-4o")
    assert (found.model, found.rewrite) == ("llama", "llama")
    assert found.config.profiles["default"].routing_strategy == "random"
    assert found.pods[0].info.engine == "sglang"


def test_what_is_wrong_with_a_config_that_is_used_is_reported(log):
    def check(config):
        return [Fault(f"$.profiles.{name}", "is odd") for name in config.profiles]

    registry = define(PodRegistry(check=check), llama=ModelSettings(config=CONFIG), other=ModelSettings())
    (fault,) = registry.faults()
    assert str(fault) == "models.llama.config $.profiles.default: is odd"
    assert log() == [str(fault)]
    assert registry.invalid_configs == {"llama": 1}
    assert "default" in registry.find("llama").config.profiles
    define(registry, llama=ModelSettings())
    assert registry.faults() == []


def test_unknown_keys_are_warned_about(log):
    config = {"profiles": {"default": {"colour": "red"}}}
    for _ in range(2):
        registry = define(PodRegistry(), llama=ModelSettings(config=config))
        define(registry, llama=ModelSettings(config=config, aliases=("gpt-4o",)))
    assert log() == ["models.llama.config: $.profiles.default.colour: unknown key, left out"] * 2
    assert registry.faults() == []


def test_a_model_without_pods_is_known():
    assert define(PodRegistry(), llama=ModelSettings()).find("llama").pods == ()


def test_the_next_version_replaces_the_last():
    registry = define(PodRegistry(), a=ModelSettings(endpoints=("http://10.0.0.1",)), b=ModelSettings())
    define(registry, b=ModelSettings(endpoints=("http://10.0.0.2",)))
    assert registry.serving("a") == ()
    assert addresses(registry, "b") == ["10.0.0.2:80"]


def test_every_fault_is_named_and_nothing_changes():
    registry = define(PodRegistry(), a=ModelSettings(endpoints=("http://10.0.0.1",)))
    with pytest.raises(ConfigurationError) as caught:
        define(
            registry,
            a=ModelSettings(endpoints=("ftp://x", "http://10.0.0.2/path")),
            b=ModelSettings(config={"profiles": {}}, endpoints=("http:",)),
            c=ModelSettings(endpoints=("http://10.0.0.3",)),
        )
    paths = [fault.path for fault in caught.value.faults]
    assert paths == [
        "models.a.endpoints: ftp://x",
        "models.a.endpoints: http://10.0.0.2/path",
        "models.b.config $.profiles",
        "models.b.endpoints: http:",
    ]
    assert addresses(registry, "a") == ["10.0.0.1:80"]
    assert registry.find("c") is None
