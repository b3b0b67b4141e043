"""What is told of a request: every decision, as data."""

from collections.abc import Mapping, Sequence

import msgspec

from aibrix_mw.errors import GatewayError


class Asked(msgspec.Struct, kw_only=True):
    """The request as the gateway reads it; `model` serves `requested_model`. Tokens are estimates."""

    path: str
    requested_model: str
    model: str
    stream: bool
    user: str | None
    prompt_tokens: int
    max_tokens: int | None


class Credentials(msgspec.Struct, kw_only=True):
    """Whether clients need a key, and whose the given one is; None: none was given, and none is asked for here."""

    needed: bool
    key: str | None = None


class Applied(msgspec.Struct, kw_only=True):
    """A config profile or a strategy, and where it is from.

    Profiles: `header`, `auto`, `default`. Strategies: `locked`, `header`, `profile`, `default`, `responses`.
    """

    name: str
    source: str


class LimitState(msgspec.Struct, kw_only=True):
    """A limit of `limit` units in `per` seconds, of which the request would take `cost`.

    `used` and `left` are of the window of now, which ends in `resets` seconds; None where nobody counts.
    """

    name: str
    limit: int
    per: float
    cost: int = 1
    used: int | None = None
    left: int | None = None
    resets: float | None = None


class PodState(msgspec.Struct, kw_only=True):
    """A pod of the model: why it is `excluded`, or the number that the strategy compares, where it compares any."""

    name: str
    namespace: str
    address: str | None
    role: str | None
    in_flight: int
    excluded: str | None = None
    score: float | None = None


class Choice(msgspec.Struct, kw_only=True):
    """Where the request would go: names of pods and their addresses.

    `fallback` is why another strategy decided, `alone` why one pod serves both legs, `match` the share of the prompt
    that is thought to be cached there.
    """

    pod: str
    address: str
    prefill: str | None = None
    prefill_address: str | None = None
    match: float | None = None
    fallback: str | None = None
    alone: str | None = None


class Refusal(msgspec.Struct, kw_only=True):
    """The answer that the client would get instead of an engine's."""

    status: int
    code: str
    outcome: str
    message: str
    headers: Mapping[str, str] = {}


class Explanation(msgspec.Struct, kw_only=True):
    """Decisions in their order; those that the request would not come to are missing.

    `counted_by` is `process`, `store` or `nobody`; `notes` are sentences on what could not be looked at.
    """

    credentials: Credentials
    asked: Asked | None = None
    profile: Applied | None = None
    strategy: Applied | None = None
    external_filter: str | None = None
    limits: Sequence[LimitState] = ()
    counted_by: str | None = None
    pods: Sequence[PodState] = ()
    highest_wins: bool = False
    choice: Choice | None = None
    refused: Refusal | None = None
    notes: Sequence[str] = ()


def refusal_of(error: GatewayError) -> Refusal:
    """What the client would read."""
    headers = {name.decode(): value.decode("latin-1") for name, value in error.headers}
    return Refusal(status=error.status, code=error.code, outcome=error.outcome, message=error.message, headers=headers)
