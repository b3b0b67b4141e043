"""The limits of a request, looked at and not taken."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from aibrix_mw.errors import GatewayError, LimitExceeded, StoreRefused, UserLimitExceeded
from aibrix_mw.explain.told import LimitState
from aibrix_mw.keys import KeyRing
from aibrix_mw.limiting.levels import Levels, levels
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.model import ModelQuotas
from aibrix_mw.limiting.quota import Quotas
from aibrix_mw.middleware.userlimit import quotas_of
from aibrix_mw.profiles import ConfigProfile
from aibrix_mw.request import InferenceRequest
from aibrix_mw.shared.users import Users


class Counters(NamedTuple):
    """What limits are made of and counted by. `keys` is None where clients need none."""

    limiter: Limiter | SharedLimiter
    quotas: ModelQuotas
    users: Users
    keys: KeyRing | None


class Looked(NamedTuple):
    """What was found: the states, who counts and why not who should, and the refusal where a limit is full."""

    states: list[LimitState]
    by: str
    why: str | None
    refusal: GatewayError | None


async def look(counters: Counters, request: InferenceRequest, profile: ConfigProfile) -> Looked | None:
    """Look at the limits of the request's user, model and profile; None where it has none."""
    user: Quotas = ()
    if request.user:
        record = counters.users.find_now(request.user)
        user = quotas_of(request.user, record or await counters.users.find(request.user), request)
    groups = [group for group in (user, counters.quotas.of(request, profile)) if group]
    if not groups:
        return None
    found = await levels(counters.limiter, groups)
    return Looked(_states(groups, found), found.by, found.why, _refusal(counters.limiter, found))


def _states(groups: Sequence[Quotas], found: Levels) -> list[LimitState]:
    if not found.groups:
        return [LimitState(name=_name(q.key), limit=q.limit, per=q.per, cost=q.cost) for group in groups for q in group]
    return [
        LimitState(
            name=_name(level.quota.key),
            limit=level.quota.limit,
            per=level.quota.per,
            cost=level.quota.cost,
            used=level.used,
            left=level.left,
            resets=round(level.resets, 3),
        )
        for group in found.groups
        for level in group
    ]


def _name(key: str) -> str:
    """What a quota's key says it limits: `{model}:profile:batch`, `{model}:model`, `{user:somebody}:rpm`."""
    tag, _, rest = key.rpartition("}:")
    kind, _, name = rest.partition(":")
    if tag.startswith("{user:"):
        return f"user's {kind}"
    return f"profile {name}" if kind == "profile" else "all profiles"


def _refusal(limiter: Limiter | SharedLimiter, found: Levels) -> GatewayError | None:
    """What a request would be refused with: by the first group that is full, in it by the limit with the least room."""
    if isinstance(limiter, SharedLimiter) and limiter.away is not None and limiter.on_error == "refuse":
        return StoreRefused()
    for group in found.groups:
        level = min(group, key=lambda level: level.left // level.quota.cost)
        if level.full:
            quota = level.quota
            if quota.key.startswith("{user:"):
                return UserLimitExceeded(quota.message or "", quota.key[-3:], max(1, ceil(level.resets)))
            return LimitExceeded(quota.message or "", level.resets)
    return None
