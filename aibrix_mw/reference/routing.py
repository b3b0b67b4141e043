"""Strategies, and the keys of routingConfig that each reads."""

from collections.abc import Iterator

from aibrix_mw.profiles.selection import HINTS
from aibrix_mw.reference.markdown import Section, code, first_sentence, table
from aibrix_mw.strategies import TABLE
from aibrix_mw.strategies.base import Scorer, Strategy
from aibrix_mw.strategies.catalogue import load_class

OPTIONS = {
    "promptTokensGte": "For `auto`: the profile fits prompts of at least so many tokens (bytes / 4).",
    "promptTokensLt": "For `auto`: the profile fits prompts of fewer tokens.",
    "maxTokensGte": "For `auto`: the profile fits requests that allow at least so many tokens.",
    "maxTokensLt": "For `auto`: the profile fits requests that allow fewer tokens.",
    "blockBytes": "Bytes of prompt in a block, which matches as a whole or not; 128.",
    "maxBlocks": "Leading blocks of a prompt that are looked at; 1024.",
    "imbalance": "When pods differ by more requests in flight than this, those with the fewest decide; 16.",
    "deviationFactor": "Standard deviations above the mean of in_flight from which on a pod is overloaded; 2.",
    "maxQueueSeconds": "A pod whose prompts still to compute would take longer is passed over; 5.",
    "fairnessWeight": "Weight of fairness between users; 1.",
    "utilizationWeight": "Weight of a pod's load; 2.",
    "windowSeconds": "Seconds for which a user's tokens count; 300.",
    "combined": "On a pod's own annotation: it serves both legs itself.",
    "promptLenBucketMinLength": "On a pod's own annotation: fewest prompt tokens that it is meant for.",
    "promptLenBucketMaxLength": "On a pod's own annotation: most prompt tokens that it is meant for.",
    "prefillScorePolicy": "`prefix_cache` (default) or `least_request`.",
    "decodeScorePolicy": "`load_balancing` (default) or `least_request`.",
}
_OF_PODS = {"combined", "promptLenBucketMinLength", "promptLenBucketMaxLength"}

_INTRODUCTION = """
The first of these that names a strategy decides: the model's `lockedRoutingStrategy`, the header `routing-strategy`,
the profile's `routingStrategy`, `routing.default_strategy`. The lowest score wins and ties are broken at random; where
a strategy has no data it leaves the choice to `least-request` and counts that in
`aibrix_gateway_strategy_fallback_total`. A weighted list is `least-request:6,prefix-cache:4`: scores are scaled to 0..1
with 1 for the best pod, and the highest weighted mean wins.
"""


def sections() -> Iterator[Section]:
    """The strategies, and their options."""
    found = {name: load_class(path) for name, path in TABLE.items()}
    strategies = [(code(name), _in_lists(kind), first_sentence(kind.__doc__)) for name, kind in found.items()]
    options = [(code(key), _readers(key, found), meaning) for key, meaning in OPTIONS.items()]
    yield Section(
        "Routing strategies",
        f"{_INTRODUCTION.strip()}\n\n{table(('strategy', 'in lists', 'what it does'), strategies)}",
    )
    yield Section(
        "routingConfig",
        "Options in a profile. Other keys are left out and warned about; strategies that were added from outside "
        f"declare their own.\n\n{table(('key', 'read by', 'meaning and default'), options)}",
    )


def _in_lists(kind: type[Strategy]) -> str:
    return "yes" if issubclass(kind, Scorer) else "alone" if kind.two_legs else "no"


def _readers(key: str, found: dict[str, type[Strategy]]) -> str:
    if key in HINTS:
        return "`config-profile: auto`"
    if key in _OF_PODS:
        return "`pd`"
    return ", ".join(code(name) for name, kind in found.items() if key in kind.option_types)
