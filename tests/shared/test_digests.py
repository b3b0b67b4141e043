"""What one gateway tells the others of an engine."""

import msgspec

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.shared.scrapes import Digest, Edition, SharedScrapes
from tests.pods.timed import Time
from tests.shared.replicas import KV
from tests.support import info, registry_of


def test_the_size_of_a_digest():
    """A Kubernetes uid, and of 14 numbers those that are known: what README says of the load comes from here."""
    uid = "9b0f2c9e-6f0d-4f51-9d68-0a3f7f3f7c11"
    full = EngineMetrics(**dict.fromkeys(EngineMetrics.__struct_fields__, 0.1))
    least_latency = msgspec.structs.replace(
        EngineMetrics(expires=0.1), queue_seconds=0.1, prefill_seconds=0.1, decode_seconds=0.1, generation_tokens=0.1
    )
    sizes = [len(msgspec.msgpack.encode(Digest(uid, 1, metrics))) for metrics in (full, least_latency)]
    assert sizes == [176, 96]


def test_places_of_fields_are_for_ever():
    """Gateways of different versions tell each other numbers by them: a new field comes last."""
    assert EngineMetrics.__struct_fields__[:4] == ("expires", "running", "waiting", "kv_cache_usage")
    assert EngineMetrics.__struct_fields__[13:15] == ("decode_seconds", "generation_tokens")


async def test_a_pod_that_is_not_wanted_here_gets_nothing():
    """And one that is gets metrics that expire by the clock of this gateway."""
    clock = Time()
    clock.now = 50.0
    shared = SharedScrapes(1.0, clock)
    registry = registry_of(info(1), info(2))
    wanted, unwanted = registry.serving("m")
    assert shared.share({wanted: KV}) == {}
    shared.meet("me", frozenset("abcdefgh"))
    assert shared.share({wanted: KV}) == {}
    told = [Digest(f"uid-{number}", 0b1000, EngineMetrics(expires=9003.0, kv_cache_usage=0.5)) for number in (1, 2, 3)]
    await shared.take({"a": msgspec.msgpack.encode(Edition(9001.0, told))})
    assert unwanted.metrics is None
    assert wanted.metrics == EngineMetrics(expires=52.0, kv_cache_usage=0.5)
    registry.remove("test", "uid-1")
    assert shared.share({}) == {}
    await shared.take({"a": msgspec.msgpack.encode(Edition(9002.0, told))})
    assert wanted.metrics.expires == 52.0
