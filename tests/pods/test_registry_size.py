"""Many pods of many models, in process time: the machine has other work too."""

import gc
import time

from aibrix_mw.pods.registry import PodRegistry
from tests.pods.registries import annotation, info


def test_5000_pods_of_500_models_are_taken_over_quickly():
    infos = [info(str(n), model=f"m{n % 500}", config=annotation("random"), created=float(n)) for n in range(5000)]
    registry = PodRegistry()
    gc.collect()
    start = time.process_time()
    registry.replace("k", infos)
    took = time.process_time() - start
    assert took < 1
    updates = []
    for n in range(200):
        start = time.process_time()
        registry.put("k", info(str(n), model=f"m{n}", excluded="not_ready"))
        updates.append(time.process_time() - start)
    assert sorted(updates)[100] < 0.001
    assert len(registry.serving("m3")) == 9
