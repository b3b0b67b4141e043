"""The queue that stands in for the simulated engine is that engine."""

import pytest

from tests.sizing.virtual import Queue, engine_first_tokens, first_tokens, poisson

QUEUES = [Queue(4, 0.2, 9, 0.1), Queue(16, 0.2, 5, 0.05), Queue(3, 0.5, 1, 0.1)]


@pytest.mark.parametrize("queue", QUEUES, ids=str)
def test_the_engines_own_scheduler_in_virtual_time_gives_the_same_times(queue):
    instants = poisson(0.95 * queue.places / queue.whole, 1000, seed=1)
    assert engine_first_tokens(queue, instants) == pytest.approx(first_tokens(queue, instants), abs=1e-6)
