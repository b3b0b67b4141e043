"""What is decided about a request before a pod is chosen."""

import msgspec

from aibrix_mw.pods.selector import Selector
from aibrix_mw.strategies.base import Strategy


class Plan(msgspec.Struct, frozen=True):
    """How a request is to be routed: known before anything is counted or sent."""

    strategy: Strategy
    strategy_name: str
    source: str  # locked, header, profile, default or responses
    selector: Selector | None = None
    hide_target: bool = False
    max_in_flight: int = 0  # requests per pod; 0: no limit
