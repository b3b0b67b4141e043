"""What an annotation says about a model, and which of its profiles applies to a request."""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

import msgspec

# Hint -> the quantity that it bounds, from below (inclusive) or from above (exclusive); in the order that breaks ties.
HINTS: dict[str, tuple[Literal["prompt", "max"], Literal["gte", "lt"]]] = {
    "promptTokensGte": ("prompt", "gte"),
    "promptTokensLt": ("prompt", "lt"),
    "maxTokensGte": ("max", "gte"),
    "maxTokensLt": ("max", "lt"),
}
Tokens = int | None
LazyTokens = Tokens | Callable[[], Tokens]


class ConfigProfile(msgspec.Struct, frozen=True):
    """A named set of routing and limit options of a model."""

    name: str = "default"
    routing_strategy: str | None = None
    """Strategy or weighted list, trimmed, not checked against the table; None: the gateway's default."""
    routing_config: dict[str, Any] = {}
    """Options of strategies and hints for `auto`, keys as in the annotation, values checked."""
    requests_per_second: int = 0
    """Requests per second over all pods; 0: no limit."""
    requests_inflight: int = 0
    """Concurrent requests per pod; 0: no limit."""
    requests_per_second_per_replica: float = 0.0
    """Requests per second and routable pod, wins over `requests_per_second`; 0: not set."""
    timeouts: dict[str, float] = {}
    """Seconds, by the key of `upstream` in the settings that each replaces."""

    @property
    def limited(self) -> bool:
        """Whether the profile caps requests per second."""
        return self.requests_per_second > 0 or self.requests_per_second_per_replica > 0

    def hints(self) -> list[str]:
        """Keys of the hints for `auto` that the profile gives."""
        return [key for key in HINTS if key in self.routing_config]

    def fits(self, prompt_tokens: Tokens, max_tokens: Tokens) -> bool:
        """Whether all hints of the profile hold; none holds on an unknown quantity."""
        for key, (quantity, side) in HINTS.items():
            bound: int | None = self.routing_config.get(key)
            if bound is None:
                continue
            tokens = prompt_tokens if quantity == "prompt" else max_tokens
            if tokens is None or (tokens < bound if side == "gte" else tokens >= bound):
                return False
        return True

    def rank(self) -> tuple[Any, ...]:
        """Sort key among fitting profiles, best first: most hints, then the narrower bounds, then the name."""
        bounds = (
            -self.routing_config.get(key, -1) if side == "gte" else self.routing_config.get(key, math.inf)
            for key, (_, side) in HINTS.items()
        )
        return (-len(self.hints()), *bounds, self.name)


BUILT_IN_PROFILE = ConfigProfile()
"""Applies where a model has no default profile: the gateway's default strategy, no limit."""


class ModelConfig(msgspec.Struct, frozen=True, dict=True):
    """What the annotation says about one model."""

    default_profile: str = "default"
    locked_routing_strategy: str | None = None
    """Strategy that neither request nor profile can change; None: not locked."""
    requests_per_second: int = 0
    """Requests per second over all profiles together; 0: no limit."""
    authoritative_routing_policy: bool = False
    """Ignore what clients say about routing and hide the routing headers of answers."""
    profiles: dict[str, ConfigProfile] = {}

    def select(
        self, name: str | None = None, prompt_tokens: LazyTokens = None, max_tokens: Tokens = None
    ) -> ConfigProfile:
        """Return the profile that applies to a request whose `config-profile` header is `name`.

        Absent, blank or unknown: the default profile, else the built-in one. `auto` (any case): the fitting profile
        of the best rank, else as if absent. `prompt_tokens` may be a callable; it is asked at most once, and only
        for `auto`, because the count needs the routing text. None: the quantity is unknown.
        """
        if name is not None:
            wanted = name.strip()
            if wanted.lower() == "auto":
                return self._auto(prompt_tokens, max_tokens)
            found = self.profiles.get(wanted)
            if found is not None:
                return found
        return self._default()

    def _default(self) -> ConfigProfile:
        return self.profiles.get(self.default_profile, BUILT_IN_PROFILE)

    def _auto(self, prompt_tokens: LazyTokens, max_tokens: Tokens) -> ConfigProfile:
        if not self._hinted:
            return self._default()
        known = prompt_tokens() if callable(prompt_tokens) else prompt_tokens
        return next((profile for profile in self._hinted if profile.fits(known, max_tokens)), self._default())

    @cached_property
    def _hinted(self) -> tuple[ConfigProfile, ...]:
        """The profiles with hints, best rank first: a rank does not depend on the request."""
        return tuple(sorted((p for p in self.profiles.values() if p.hints()), key=ConfigProfile.rank))


def source_of(config: ModelConfig, wanted: str, profile: ConfigProfile, *, client_may_choose: bool = True) -> str:
    """Why this profile applies to a request whose header names `wanted`: `header`, `auto`, or `default`."""
    name = wanted.strip()
    if not name or config.authoritative_routing_policy or not client_may_choose:
        return "default"
    if name.lower() == "auto":
        return "auto"
    return "header" if name == profile.name else "default"


BUILT_IN = ModelConfig()
"""The configuration of a model that nobody configured."""


def config_warnings(config: ModelConfig) -> tuple[str, ...]:
    """Warn about what is valid and probably not meant: no default profile, a way around a limit, hints in vain."""
    return (
        *_missing_default(config),
        *_unlimited_way(config),
        *(warning for profile in config.profiles.values() for warning in _vain_bounds(profile)),
    )


def _missing_default(config: ModelConfig) -> Iterator[str]:
    if config.default_profile not in config.profiles:
        yield f"$.defaultProfile: there is no profile {config.default_profile!r}: the gateway's built-in one applies"


def _unlimited_way(config: ModelConfig) -> Iterator[str]:
    if config.authoritative_routing_policy or config.requests_per_second:  # no choice, or a limit on all of them
        return
    selectable = [*config.profiles.values(), config.select()]
    limited = {profile.name for profile in selectable if profile.limited}
    unlimited = {profile.name for profile in selectable if not profile.limited}
    if limited and unlimited:
        ways = ", ".join(sorted(unlimited))
        yield f"$.profiles: clients can leave the limits of {', '.join(sorted(limited))} by selecting {ways}"


def _vain_bounds(profile: ConfigProfile) -> Iterator[str]:
    path = json_path("$.profiles", profile.name)
    if profile.name.lower() == "auto":
        yield f"{path}: config-profile: auto means another thing"
    for low, high in (("promptTokensGte", "promptTokensLt"), ("maxTokensGte", "maxTokensLt")):
        if profile.routing_config.get(low, 0) >= profile.routing_config.get(high, math.inf):
            yield f"{path}.routingConfig: {low} and {high} never hold together"
    low, high = "promptLenBucketMinLength", "promptLenBucketMaxLength"
    if profile.routing_config.get(low, 0) > profile.routing_config.get(high, math.inf):
        yield f"{path}.routingConfig: {low} is above {high}: no prompt fits"


def json_path(path: str, key: object) -> str:
    """Return the JSON path of `key` within `path`."""
    plain = re.fullmatch(r"[\w-]+", str(key)) is not None
    return f"{path}.{key}" if plain else f"{path}[{json.dumps(str(key))}]"
