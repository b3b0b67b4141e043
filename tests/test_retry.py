"""The retry budget."""

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.retry import RetryBudget
from tests.support import Clock


def taken(budget, tries=10_000):
    return sum(budget.take() for _ in range(tries))


def test_it_starts_with_ten_seconds_of_the_floor():
    assert taken(RetryBudget(0.2, 3, Clock())) == 30
    assert taken(RetryBudget(0.0, 0.0, Clock())) == 0


def test_each_second_adds_the_floor():
    clock = Clock()
    budget = RetryBudget(0.2, 3, clock)
    taken(budget)
    clock.now += 2
    assert taken(budget) == 6


def test_each_request_adds_the_ratio():
    budget = RetryBudget(0.2, 3, Clock())
    taken(budget)
    for _ in range(50):
        budget.request()
    assert taken(budget) == 10


def test_it_holds_ten_seconds_of_floor_and_requests():
    clock = Clock()
    budget = RetryBudget(0.5, 3, clock)
    for _ in range(10):
        budget.request()
    clock.now += 5
    for _ in range(10):
        budget.request()
    assert taken(budget) == 30 + 10
    clock.now += 1000
    assert taken(budget) == 30


def test_f22_amplification_is_bounded():
    clock = Clock()
    budget = RetryBudget(0.2, 3, clock)
    requests = upstream = 0
    for _ in range(10_000):
        clock.now += 0.001
        requests += 1
        upstream += 1
        budget.request()
        upstream += budget.take()
    assert upstream <= 1.2 * requests + 60


class Reference:
    """The same in whole quarters, with every request remembered."""

    def __init__(self, clock):
        self.clock = clock
        self.seen = clock()
        self.requests = []
        self.quarters = 120  # 30 retries

    def request(self):
        self._advance()
        self.requests.append(self.seen)
        self.quarters += 1

    def take(self):
        self._advance()
        self.quarters = min(self.quarters, 120 + len(self.requests))
        possible = self.quarters >= 4
        self.quarters -= 4 * possible
        return possible

    def _advance(self):
        now = self.clock()
        self.quarters += 12 * (now - self.seen)
        self.seen = now
        self.requests = [second for second in self.requests if second > now - 10]


@given(st.lists(st.one_of(st.integers(0, 12), st.sampled_from(["request", "take", "take"])), max_size=200))
def test_the_formula(events):
    clock = Clock(1000)
    budget, reference = RetryBudget(0.25, 3, clock), Reference(clock)
    for event in events:
        if event == "request":
            budget.request()
            reference.request()
        elif event == "take":
            assert budget.take() == reference.take()
        else:
            clock.now += event
