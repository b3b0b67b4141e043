"""Which configuration a model has: settings, annotations, the last valid one."""

import json
from collections import Counter

from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from aibrix_mw.profiles import BUILT_IN, parse_config
from tests.pods.registries import annotation, info, known, strategy


def test_without_annotations_the_built_in_configuration_holds():
    registry = PodRegistry()
    registry.put("k", info("1"))
    assert known(registry).config is BUILT_IN


def test_the_newest_ready_pod_with_a_valid_annotation_decides():
    registry = PodRegistry()
    registry.replace(
        "k",
        [
            info("1", created=1.0, config=annotation("old")),
            info("2", created=5.0, name="pod-a", config=annotation("new-a")),
            info("3", created=5.0, name="pod-b", config=annotation("new-b")),
            info("4", created=9.0, config=annotation("loading"), excluded="not_ready"),
            info("5", created=9.0, config="{"),
            info("6", created=9.0),
        ],
    )
    assert strategy(registry) == "new-b"
    registry.remove("k", "3")
    assert strategy(registry) == "new-a"
    registry.put("k", info("4", created=9.0, config=annotation("loading")))
    assert strategy(registry) == "loading"


def test_the_settings_win_and_leave_the_annotations_when_they_go():
    config, _ = parse_config(annotation("settings"))
    registry = PodRegistry()
    registry.put("k", info("1", config=annotation("pod")))
    registry.define({"m": ModelDefinition(config=config)})
    assert strategy(registry) == "settings"
    registry.put("k", info("1", config=annotation("pod"), excluded="not_ready"))
    registry.define({})
    assert strategy(registry) == "pod"


def test_an_invalid_annotation_keeps_the_last_valid_one_and_counts_once(caplog):
    registry = PodRegistry()
    registry.put("k", info("1", config=annotation("good")))
    registry.put("k", info("1", config='{"profiles": {"default": {"requestsPerSecond": "9", "routingStrategy": 5}}}'))
    registry.put("k", info("1", config='{"profiles": {"default": {"requestsPerSecond": "9", "routingStrategy": 5}}}'))
    registry.put("k", info("2"))
    assert strategy(registry) == "good"
    assert registry.invalid_configs == Counter(m=1)
    assert {fault.path.rpartition(".")[2] for fault in registry.faults()} == {"requestsPerSecond", "routingStrategy"}
    assert len(caplog.records) == len(registry.faults()) == 2
    assert "pod ns/pod-1, model m: annotation model.aibrix.ai/config" in caplog.text
    registry.remove("k", "1")
    assert registry.faults() == []
    assert known(registry).config is BUILT_IN


def test_a_recreated_pod_with_the_same_fault_counts_again():
    registry = PodRegistry()
    for uid in ("1", "2"):
        registry.replace("k", [info(uid, config="{}")])
    assert registry.invalid_configs == Counter(m=2)
    assert known(registry).config is BUILT_IN


def test_an_unknown_key_is_warned_about_once(caplog):
    raw = json.dumps({"profiles": {"default": {"colour": "red"}}})
    registry = PodRegistry()
    registry.put("k", info("1", config=raw))
    registry.put("k", info("1", config=raw, created=1.0))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "colour" in caplog.text
    assert not registry.invalid_configs
