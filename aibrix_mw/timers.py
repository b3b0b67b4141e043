"""How long the attempts of one request may take."""

import asyncio

import msgspec
from starlette.types import Scope

from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import ATTEMPT, PROFILE
from aibrix_mw.upstream.base import Timeouts, Timers


def timeouts_for(scope: Scope, timeouts: Timeouts) -> Timeouts:
    """The gateway's timeouts, or those of the request's profile where it gives any."""
    profile = PROFILE.get(scope)
    if profile is not None and profile.timeouts:
        known = {key: value for key, value in profile.timeouts.items() if key in Timeouts.__struct_fields__}
        timeouts = msgspec.structs.replace(timeouts, **known)
    return timeouts


def timers_for(scope: Scope, request: InferenceRequest, timeouts: Timeouts) -> Timers:
    """The timers of the answer that the client waits for: they run over all attempts, from when routing started."""
    attempt = ATTEMPT.get(scope)
    started = attempt.started if attempt is not None else asyncio.get_running_loop().time()
    connect, idle = timeouts.connect_timeout, timeouts.idle_timeout
    if request.stream:
        return Timers(started + timeouts.first_byte_timeout, "first_byte_timeout", False, connect, idle)
    return Timers(started + timeouts.response_timeout, "response_timeout", True, connect, idle)


def prefill_timers(scope: Scope, request: InferenceRequest, timeouts: Timeouts) -> Timers:
    """Those of a prefill leg: `prefill_timeout` from now on, and never longer than the whole may take."""
    whole = timers_for(scope, request, timeouts)
    until = asyncio.get_running_loop().time() + timeouts.prefill_timeout
    if until >= whole.until:
        return Timers(whole.until, whole.timer, True, whole.connect, whole.idle)
    return Timers(until, "prefill_timeout", True, whole.connect, whole.idle)
