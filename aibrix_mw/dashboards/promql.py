"""PromQL from families: metric names come from the table of what is exported, and never are written twice.

Work is summed over gateways, a fact that each of them exports is taken by `max`; `rate` always comes before `sum`.
"""

import msgspec

from aibrix_mw.telemetry.families import Family

CANCELLED = "client_cancelled"
"""Neither a success nor a failure of anybody here: left out of shares."""
BUDGETED = (
    *("engine_error", "upstream_error", "upstream_timeout", "no_ready_pods"),
    *("pd_error", "stream_truncated", "overloaded", "store_refused"),
)
"""Outcomes that spend the error budget."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which series are asked for, and over what time rates are taken."""

    window: str
    gateways: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def select(self, family: Family, *matchers: str, suffix: str = "") -> str:
        """Series of a family."""
        models = self.models if "model" in family.labels else ()
        inside = ", ".join((*self.gateways, *models, *matchers))
        return f"{family}{suffix}{{{inside}}}" if inside else f"{family}{suffix}"

    def rate(self, family: Family, by: str, *matchers: str, suffix: str = "", window: str | None = None) -> str:
        """Work a second, summed over gateways."""
        return f"sum by ({by}) (rate({self.select(family, *matchers, suffix=suffix)}[{window or self.window}]))"

    def events(self, family: Family, by: str, *matchers: str) -> str:
        """How often a histogram's event happens, a second."""
        return self.rate(family, by, *matchers, suffix="_count")

    def quantile(self, share: float, family: Family, by: str = "") -> str:
        """A quantile of a histogram, over gateways."""
        return f"histogram_quantile({share}, {self.rate(family, f'{by}, le' if by else 'le', suffix='_bucket')})"

    def mean(self, family: Family, by: str) -> str:
        """The mean of a histogram."""
        return f"{self.rate(family, by, suffix='_sum')} / {self.events(family, by)}"

    def fact(self, family: Family, by: str, *matchers: str) -> str:
        """What every gateway says alike."""
        return f"max by ({by}) ({self.select(family, *matchers)})"

    def work(self, family: Family, by: str, *matchers: str) -> str:
        """A gauge of which each gateway has its own part."""
        return f"sum by ({by}) ({self.select(family, *matchers)})"


def share(part: str, whole: str) -> str:
    """The share of a part; 0 where there is only a whole, nothing where there is neither."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def one_of(label: str, *values: str) -> str:
    """A matcher of several values."""
    return f'{label}=~"{"|".join(values)}"'


ask = Scope(
    window="$__rate_interval",
    gateways=('namespace=~"$namespace"', 'job=~"$job"'),
    models=('model=~"$model"',),
)
"""What the variables at the head of a board choose."""

everywhere = Scope(window="5m")
"""All that there is, for rules."""
