"""From what a client, a profile or the settings write to a strategy that can pick."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from random import Random
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault, UnknownStrategy
from aibrix_mw.profiles import ModelConfig
from aibrix_mw.profiles.selection import json_path
from aibrix_mw.strategies import TABLE
from aibrix_mw.strategies.base import Scorer, Strategy
from aibrix_mw.strategies.weighted import Item, WeightedList, parse_weights

_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_LISTS_KEPT = 256

Options = Mapping[str, Any]


def load_class(path: str) -> type[Strategy]:
    """Import `package.module:Class`; ConfigurationError when that is no Strategy."""
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError([Fault(path, f"cannot be imported: {error}")]) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigurationError([Fault(path, "is not a subclass of aibrix_mw.strategies.base.Strategy")])
    return found


class Catalogue:
    """Builds strategies and keeps them, since they learn.

    `extra` adds names to the table. The number of kept lists is bounded, because clients write them; their members are
    shared with the single strategies.
    """

    def __init__(
        self,
        extra: Mapping[str, str | type[Strategy]] | None = None,
        *,
        rng: Random | None = None,
    ) -> None:
        self._table: dict[str, str | type[Strategy]] = {**TABLE, **(extra or {})}
        self._presets: dict[str, Options] = {}
        self._rng = rng or Random()
        self._singles: dict[tuple[str, bytes], Strategy] = {}
        self._lists: dict[tuple[str, bytes], Strategy] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def preset(self, name: str, options: Options) -> None:
        """Give a strategy options of the gateway's own; the profiles' come on top. What is built is built anew."""
        self._presets[name] = options
        self._singles.clear()
        self._lists.clear()

    def names(self) -> list[str]:
        """Names that a client may use."""
        return list(self._table)

    def get(self, spec: str, options: Options | None = None, *, trusted: bool = True) -> Strategy:
        """The strategy for a name, a weighted list or, where the source is trusted, an import string.

        UnknownStrategy when it is none of these.
        """
        if spec in self._table or (trusted and _IMPORT_STRING.fullmatch(spec)):
            return self._single(spec, options)
        return self._list(spec, options)

    def faults(self, config: ModelConfig) -> Iterator[Fault]:
        """Where the configuration names a strategy that is none, by JSON path: requests that need it are refused."""
        yield from filter(None, (self.fault(*named) for named in _strategies(config)))

    def fault(self, path: str, spec: str, options: Options | None = None) -> Fault | None:
        """What is wrong with the strategy that is named at `path`; None when it can pick."""
        try:
            self.get(spec, options)
        except UnknownStrategy as error:
            return Fault(path, f"{error.message}: {error.reason}")
        return None

    def _single(self, name: str, options: Options | None) -> Strategy:
        key = (name, _canonical(options))
        strategy = self._singles.get(key)
        if strategy is None:
            strategy = self._singles[key] = self._build(name, options)
        return strategy

    def _build(self, name: str, options: Options | None) -> Strategy:
        found = self._table.get(name, name)  # an import string stands for itself
        try:
            build = load_class(found) if isinstance(found, str) else found
        except ConfigurationError as error:
            raise UnknownStrategy(name, error.faults[0].reason) from error
        return build(self._rng, {**self._presets.get(name, {}), **(options or {})})

    def _list(self, spec: str, options: Options | None) -> Strategy:
        key = (spec, _canonical(options))
        if key not in self._lists:
            strategy = self._build_list(spec, options)
            if len(self._lists) >= _LISTS_KEPT:
                del self._lists[next(iter(self._lists))]
            self._lists[key] = strategy
        return self._lists[key]

    def _build_list(self, spec: str, options: Options | None) -> Strategy:
        try:
            pairs = parse_weights(spec)
        except ValueError as error:
            raise UnknownStrategy(spec, str(error)) from None
        items = []
        for name, weight in pairs:
            member = self._single(name, options) if name in self._table else None
            if not isinstance(member, Scorer):
                reason = "cannot stand in a list" if member is not None else "does not exist"
                raise UnknownStrategy(spec, f"{name} {reason}")
            items.append(Item(member, weight))
        return WeightedList([item for item in items if item.weight], self._rng)


def _strategies(config: ModelConfig) -> Iterator[tuple[str, str, Options]]:
    """Every strategy that the configuration names, with its JSON path and its options."""
    if config.locked_routing_strategy:
        yield "$.lockedRoutingStrategy", config.locked_routing_strategy, {}
    for name, profile in config.profiles.items():
        if profile.routing_strategy:
            yield f"{json_path('$.profiles', name)}.routingStrategy", profile.routing_strategy, profile.routing_config


def _canonical(options: Options | None) -> bytes:
    return msgspec.json.encode(options, order="sorted") if options else b""
