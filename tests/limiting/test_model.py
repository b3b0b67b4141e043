"""From a model's configuration to its quotas."""

import pytest

from aibrix_mw.limiting.model import ModelQuotas
from tests.support import ask_for, info, registry_of


def model(config, pods=1, **changes):
    registry = registry_of(*(info(number, **changes) for number in range(1, pods + 1)), config=config)
    return registry, ModelQuotas(registry)


def quotas_of(config, pods=1, profile=None):
    registry, quotas = model(config, pods)
    found = quotas.of(ask_for(), registry.find("m").config.select(profile))
    return None if found is None else [(q.key, q.limit, q.per, q.message) for q in found]


@pytest.mark.parametrize("limit", [0, -1, None])
def test_no_limit(limit):
    profile = {} if limit is None else {"requestsPerSecond": limit}
    assert quotas_of({"profiles": {"default": profile}, **profile}) is None


def test_of_the_profile():
    config = {"profiles": {"default": {"requestsPerSecond": 50}, "batch": {"requestsPerSecond": 20}}}
    assert quotas_of(config) == [("{m}:profile:default", 50, 1.0, "model: m has exceeded RPS: 50")]
    assert quotas_of(config, profile="batch") == [("{m}:profile:batch", 20, 1.0, "model: m has exceeded RPS: 20")]


def test_of_all_profiles_together():
    config = {"requestsPerSecond": 100, "profiles": {"default": {"requestsPerSecond": 80}, "free": {}}}
    whole = ("{m}:model", 100, 1.0, "model: m has exceeded RPS: 100")
    assert quotas_of(config) == [("{m}:profile:default", 80, 1.0, "model: m has exceeded RPS: 80"), whole]
    assert quotas_of(config, profile="free") == [whole]


@pytest.mark.parametrize(
    ("rate", "pods", "limit", "per", "shown"),
    [
        (2, 3, 6, 1.0, "6"),
        (0.5, 3, 1, 1.0, "1"),
        (1.9, 2, 3, 1.0, "3"),
        (0.29, 100, 29, 1.0, "29"),
        (0.1, 10, 1, 1.0, "1"),
        (0.1, 3, 1, 4.0, "0.3"),
        (0.1, 1, 1, 10.0, "0.1"),
        (0.0001, 1, 1, 3600.0, "0.0001"),
        (0.3, 1, 1, 4.0, "0.3"),
    ],
)
def test_per_replica(rate, pods, limit, per, shown):
    """floor(X x pods), and below one a second one request in a longer window."""
    config = {"profiles": {"default": {"requestsPerSecondPerReplica": rate, "requestsPerSecond": 7}}}
    assert quotas_of(config, pods) == [("{m}:profile:default", limit, per, f"model: m has exceeded RPS: {shown}")]


def test_pods_come_and_go():
    registry, quotas = model({"profiles": {"default": {"requestsPerSecondPerReplica": 5}}})

    def limit():
        return quotas.of(ask_for(), registry.find("m").config.select())[0].limit

    assert limit() == 5
    registry.put("test", info(2))
    assert limit() == 10
    registry.put("test", info(2, excluded="not_ready"))
    assert limit() == 5


def test_the_same_quotas_as_long_as_nothing_changes():
    registry, quotas = model({"profiles": {"default": {"requestsPerSecond": 5}}})
    profile = registry.find("m").config.select()
    assert quotas.of(ask_for(), profile) is quotas.of(ask_for(), profile)


def test_an_adapter_and_an_alias_share_the_counts_of_their_model():
    registry = registry_of(
        info(1, adapters=("lora",)), aliases=["alias"], config={"profiles": {"default": {"requestsPerSecond": 5}}}
    )
    quotas = ModelQuotas(registry)
    profile = registry.find("m").config.select()
    found = {quotas.of(ask_for(), profile)}
    for name in ("lora", "alias"):
        request = ask_for()
        request.requested_model = name
        found.add(quotas.of(request, profile))
    assert len(found) == 1


def test_braces_in_a_name_do_not_move_its_keys():
    registry = registry_of(info(1, model="a}{b%"))
    registry_config = registry.find("a}{b%").config
    assert registry_config.requests_per_second == 0
    from aibrix_mw.limiting.model import _quotas
    from aibrix_mw.profiles import ConfigProfile

    (quota,) = _quotas("a}{b%", ConfigProfile(requests_per_second=5), 0, 1)
    assert quota.name == "{a%7D%7Bb%25}:profile:default:1"


def test_the_limits_in_force():
    config = {
        "requestsPerSecond": 100,
        "profiles": {"default": {"requestsPerSecond": 50}, "each": {"requestsPerSecondPerReplica": 0.3}, "free": {}},
    }
    _, quotas = model(config, pods=2)
    assert quotas.limits() == {("m", "default"): 50, ("m", "each"): 0.6, ("m", ""): 100}
