"""From what a client, a profile or the settings write to a strategy that can pick."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from random import Random
from typing import Any, TypeVar

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault, UnknownStrategy
from aibrix_mw.pods.engine_names import SOURCES
from aibrix_mw.pods.pod import Pod
from aibrix_mw.profiles import ModelConfig, Reader
from aibrix_mw.profiles.selection import json_path
from aibrix_mw.strategies import TABLE
from aibrix_mw.strategies.base import Scorer, Strategy
from aibrix_mw.strategies.guard import Guard
from aibrix_mw.strategies.weighted import Item, WeightedList, parse_weights

_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_KEPT = 256
ASKED_KEPT = 600.0
"""Seconds for which engines are scraped for a strategy after a client has asked for it."""

Options = Mapping[str, Any]
K = TypeVar("K")
V = TypeVar("V")


def load_class(path: str) -> type[Strategy]:
    """Import `package.module:Class`; ConfigurationError when that is no Strategy."""
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError([Fault(path, f"cannot be imported: {error}")]) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigurationError([Fault(path, "is not a subclass of aibrix_mw.strategies.base.Strategy")])
    unknown = found.needs - SOURCES.keys()
    if unknown:
        raise ConfigurationError([Fault(path, f"needs what no engine reports: {', '.join(sorted(unknown))}")])
    return found


class Catalogue:
    """Builds strategies and keeps them, since they learn.

    A strategy gets only the options that it declares, so that profiles which differ in nothing else share one. `extra`
    adds names to the table. How many are kept is bounded, because clients write lists and annotations change; members
    of lists are shared with the single strategies.
    """

    def __init__(
        self,
        extra: Mapping[str, str | type[Strategy]] | None = None,
        *,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.guard = Guard()
        self._table: dict[str, str | type[Strategy]] = {**TABLE, **(extra or {})}
        self._presets: dict[str, Options] = {}
        self._rng = rng or Random()
        self._clock = clock
        self._singles: dict[tuple[str, bytes], Strategy] = {}
        self._lists: dict[tuple[str, bytes], Strategy] = {}
        self._asked: dict[tuple[str, str], float] = {}
        # by the identity of the options, which saves their encoding on the hot path
        self._recent: dict[tuple[str, bool, int], tuple[Options | None, Strategy]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def preset(self, name: str, options: Options) -> None:
        """Give a strategy options of the gateway's own; the profiles' come on top. What is built is built anew."""
        self._presets[name] = options
        for built in (self._singles, self._lists, self._recent):
            built.clear()

    def forget(self, pod: Pod) -> None:
        """Tell every strategy that a pod has left for good."""
        for name, _, strategy in self.built():
            self.guard.call(name, "forget", strategy.forget, pod)

    def built(self) -> list[tuple[str, str, Strategy]]:
        """Every single strategy that there is now, with its name and its options as JSON."""
        return [(name, options.decode(), strategy) for (name, options), strategy in self._singles.items()]

    def names(self) -> list[str]:
        """Names that a client may use."""
        return list(self._table)

    def get(self, spec: str, options: Options | None = None, *, trusted: bool = True, profile: str = "") -> Strategy:
        """The strategy for a name, a weighted list or, where the source is trusted, an import string.

        `options` are those of the profile of that name. UnknownStrategy when it is none of these.
        """
        key = (spec, trusted, id(options))
        recent = self._recent.get(key)
        if recent is not None and recent[0] is options:
            return recent[1]
        if spec in self._table or (trusted and _IMPORT_STRING.fullmatch(spec)):
            strategy = self._single(spec, options, profile)
        else:
            strategy = self._list(spec, options, profile)
        return _keep(self._recent, key, (options, strategy))[1]

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

    def own_options(self, spec: str) -> dict[str, Reader]:
        """Keys of routingConfig that strategies read which are not the gateway's.

        These are the ones that were added to the table, and the one that `spec` names if it is an import string.
        """
        names = [name for name in self._table if name not in TABLE]
        if _IMPORT_STRING.fullmatch(spec):
            names.append(spec)
        readers: dict[str, Reader] = {}
        for name in names:
            with suppress(UnknownStrategy):  # requests will hear of it
                types = self.strategy_class(name).option_types
                readers |= {key: partial(_checked, type_) for key, type_ in types.items()}
        return readers

    def asked(self, model: str, spec: str) -> None:
        """A client has asked for a strategy that no configuration names; `get` has found it."""
        self._asked.pop((model, spec), None)
        _keep(self._asked, (model, spec), self._clock())

    def needs(self, model: str, config: ModelConfig, default: str) -> frozenset[str]:
        """Fields of EngineMetrics that are looked at on a model.

        By strategies that its configuration may lead to, and by those that clients have asked for lately.
        """
        specs = {config.locked_routing_strategy or ""}
        if not config.locked_routing_strategy:
            since = self._clock() - ASKED_KEPT
            specs = {profile.routing_strategy or default for profile in (*config.profiles.values(), config.select())}
            specs |= {spec for (asked, spec), when in self._asked.items() if asked == model and when >= since}
        return frozenset().union(*(self._needs_of(spec) for spec in specs))

    def _needs_of(self, spec: str) -> frozenset[str]:
        try:
            return self.get(spec).needs
        except UnknownStrategy:  # requests will hear of it
            return frozenset()

    def strategy_class(self, name: str) -> type[Strategy]:
        """The class behind a name of the table or an import string; UnknownStrategy when there is none."""
        found = self._table.get(name, name)  # an import string stands for itself
        try:
            return load_class(found) if isinstance(found, str) else found
        except ConfigurationError as error:
            raise UnknownStrategy(name, error.faults[0].reason) from error

    def _single(self, name: str, options: Options | None, profile: str = "") -> Strategy:
        build = self.strategy_class(name)
        declared = {key: value for key, value in (options or {}).items() if key in build.option_types}
        if build.per_profile:
            declared["profile"] = profile
        key = (name, _canonical(declared))
        strategy = self._singles.get(key)
        if strategy is None:
            strategy = build(self._rng, {**self._presets.get(name, {}), **declared}, self._clock)
            _keep(self._singles, key, strategy)
        return strategy

    def _list(self, spec: str, options: Options | None, profile: str) -> Strategy:
        key = (f"{profile}\n{spec}", _canonical(options))
        strategy = self._lists.get(key)
        return strategy if strategy is not None else _keep(self._lists, key, self._build_list(spec, options, profile))

    def _build_list(self, spec: str, options: Options | None, profile: str) -> Strategy:
        try:
            pairs = parse_weights(spec)
        except ValueError as error:
            raise UnknownStrategy(spec, str(error)) from None
        items = []
        for name, weight in pairs:
            member = self._single(name, options, profile) if name in self._table else None
            if member is not None and member.two_legs:
                if weight:
                    return member
                continue
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


def _keep(built: dict[K, V], key: K, value: V) -> V:
    """Put the value; the oldest one has to go when there are too many."""
    if len(built) >= _KEPT:
        del built[next(iter(built))]
    built[key] = value
    return value


def _checked(wanted: object, value: object) -> object:
    try:
        converted: object = msgspec.convert(value, wanted)
        return converted
    except msgspec.ValidationError as error:
        reason = str(error)
        raise ValueError(reason[:1].lower() + reason[1:]) from None


def _canonical(options: Options | None) -> bytes:
    return msgspec.json.encode(options, order="sorted") if options else b""
