"""The models that the settings name."""

import pytest

from aibrix_mw.errors import ConfigurationError
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
            b=ModelSettings(config={"profiles": {}}),
            c=ModelSettings(endpoints=("http://10.0.0.3",)),
        )
    paths = [fault.path for fault in caught.value.faults]
    assert [path.partition(":")[0] for path in paths] == ["models.a", "models.a", "models.b"]
    assert addresses(registry, "a") == ["10.0.0.1:80"]
    assert registry.find("c") is None
