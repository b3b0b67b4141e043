"""How pods are chosen: the table of strategies, as settings and the host application extend it."""

from collections.abc import Mapping
from pathlib import Path

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings import RoutingSettings
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue, load_class

Strategies = Mapping[str, str | type[Strategy]]


def open_catalogue(routing: RoutingSettings, strategies: Strategies) -> Catalogue:
    """The table with `strategies` added; ConfigurationError where a class, or the default strategy, is not there."""
    for found in strategies.values():
        if isinstance(found, str):
            load_class(found)
    catalogue = Catalogue(strategies)
    fault = catalogue.fault("routing.default_strategy", routing.default_strategy)
    if fault is not None:
        raise ConfigurationError([fault])
    return catalogue


def read_session_key(routing: RoutingSettings, catalogue: Catalogue) -> None:
    """Give the strategies the key in `session_key_file`, if there is one; ConfigurationError when it cannot be read."""
    file = routing.session_key_file
    if file is None:
        return
    try:
        key = Path(file).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError([Fault("routing.session_key_file", f"{file}: {error.strerror}")]) from None
    catalogue.preset("session-affinity", {"sessionKey": key[:64]})
