"""The last requests that did not end well, kept in memory for the status page."""

import time
from collections import deque
from collections.abc import Callable

import msgspec
from starlette.types import Scope

from aibrix_mw.outcome import Outcome
from aibrix_mw.paths import route_path
from aibrix_mw.scope import PROFILE, REQUEST, REQUEST_ID

KEPT = 50
_LONGEST = 128


class Refused(msgspec.Struct):
    """Requests that ended alike one after the other: `times` of them, the last one at `time`, since the epoch."""

    outcome: str
    status: int
    model: str | None
    profile: str | None
    path: str
    request_id: str | None
    time: float
    times: int = 1


class Refusals:
    """Takes note of requests that were refused or failed; of a flood of equal ones only how many there were."""

    def __init__(self, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._refused: deque[Refused] = deque(maxlen=kept)

    def note(self, scope: Scope, outcome: Outcome) -> None:
        """A request has ended."""
        request, profile, request_id = REQUEST.get(scope), PROFILE.get(scope), REQUEST_ID.get(scope)
        found = Refused(
            outcome=outcome.name,
            status=outcome.status,
            model=request.model if request is not None else None,
            profile=profile.name if profile is not None else None,
            path=route_path(scope)[:_LONGEST],
            request_id=request_id.decode() if request_id is not None else None,
            time=self.clock(),
        )
        if self._refused and _alike(self._refused[-1], found):
            found.times = self._refused.pop().times + 1
        self._refused.append(found)

    def last(self) -> list[Refused]:
        """What was noted, newest first."""
        return list(reversed(self._refused))


def _alike(one: Refused, other: Refused) -> bool:
    return (one.outcome, one.status, one.model, one.profile, one.path) == (
        other.outcome,
        other.status,
        other.model,
        other.profile,
        other.path,
    )
