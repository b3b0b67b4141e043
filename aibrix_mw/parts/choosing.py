"""How pods are chosen: which there are, the table of strategies, and what these get to see of pods and engines."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.scraper import Scraper, ScrapeSharing
from aibrix_mw.profiles import Reader
from aibrix_mw.settings import RoutingSettings, ScrapeSettings, Settings
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue, load_class
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.fetch import Fetch

WATCHED = frozenset({"running", "waiting", "kv_cache_usage"})
WATCHED_SECONDS = 10.0

Strategies = Mapping[str, str | type[Strategy]]


class Choosing:
    """Strategies and pods, which know of each other.

    `strategies` are added to the table; ConfigurationError where a class, or the default strategy, is not there.
    """

    def __init__(self, settings: Settings, strategies: Strategies) -> None:
        self.routing = settings.routing
        self._watched = -math.inf
        self.catalogue = _open_catalogue(self.routing, strategies)
        self.catalogue.preset("pd", {"fallback": self.routing.pd_fallback})
        self.registry = PodRegistry(
            remember=settings.discovery.remember,
            last_resort=self.routing.use_terminating_as_last_resort,
            check=self.catalogue.faults,
            own_options=self.own_options,
        )
        self.registry.leaving.append(self.catalogue.forget)
        ejection = Ejection(
            consecutive_failures=settings.ejection.consecutive_failures,
            base=settings.ejection.base,
            cap=settings.ejection.cap,
            max_share=settings.ejection.max_share,
        )
        self.admission = Admission(self.registry, ejection, self.routing.slow_start)

    def load(self) -> None:
        """Read the key in `session_key_file`, if there is one; ConfigurationError when it cannot be read."""
        file = self.routing.session_key_file
        if file is None:
            return
        try:
            key = Path(file).read_bytes().strip()
        except OSError as error:
            raise ConfigurationError([Fault("routing.session_key_file", f"{file}: {error.strerror}")]) from None
        self.catalogue.preset("session-affinity", {"sessionKey": key[:64]})

    def scraper(self, scrape: ScrapeSettings, upstream: Upstream, sharing: ScrapeSharing | None) -> Scraper:
        """What asks engines for as much as the strategies in use look at."""
        fetch = Fetch(upstream, scrape.timeout)
        return Scraper(self.registry, fetch, self.needs, interval=scrape.interval, sharing=sharing)

    def own_options(self, spec: str) -> Mapping[str, Reader]:
        """Keys of routingConfig that only the strategy of this name reads; without a name it is the default one."""
        return self.catalogue.own_options(spec or self.routing.default_strategy)

    def watch(self) -> None:
        """Somebody looks at pods: for a while engines are asked for what the status shows."""
        self._watched = time.monotonic()

    def needs(self, model: str) -> frozenset[str]:
        """What strategies want to know of the model's engines, and those who look at the status."""
        needed = self.catalogue.needs(model, self.registry.config(model), self.routing.default_strategy)
        return needed | WATCHED if time.monotonic() - self._watched < WATCHED_SECONDS else needed


def _open_catalogue(routing: RoutingSettings, strategies: Strategies) -> Catalogue:
    for found in strategies.values():
        if isinstance(found, str):
            load_class(found)
    catalogue = Catalogue(strategies)
    fault = catalogue.fault("routing.default_strategy", routing.default_strategy)
    if fault is not None:
        raise ConfigurationError([fault])
    return catalogue
