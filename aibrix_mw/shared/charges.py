"""What strategies tell those of other gateways that have the same name and options: what users were charged, say."""

from collections import defaultdict

from aibrix_mw.shared.exchange import Numbers, Topic
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue


class Charges:
    """Passes numbers between strategies and the exchange; one that raises is left out, and the others go on."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def topic(self) -> Topic:
        """For the exchange."""
        return Topic("charges", self.collect, self.take)

    def collect(self) -> Numbers:
        """What this gateway's strategies tell, by name, options and subject."""
        numbers: dict[str, float] = {}
        for name, options, strategy in self.catalogue.built():
            told = self.catalogue.guard.call(name, "tell", _told, strategy) or {}
            numbers |= {f"{name}{options}\n{subject}": number for subject, number in told.items()}
        return numbers

    def take(self, elsewhere: Numbers) -> None:
        """Hand out the sums of what other gateways tell."""
        told: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for key, number in elsewhere.items():
            who, _, subject = key.partition("\n")
            told[who][subject] = number
        for name, options, strategy in self.catalogue.built():
            self.catalogue.guard.call(name, "hear", strategy.hear, told.get(f"{name}{options}", {}))


def _told(strategy: Strategy) -> dict[str, float]:
    """What the strategy tells, if it is what others can add up."""
    return {subject: float(number) for subject, number in strategy.tell().items()}
