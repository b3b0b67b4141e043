"""What may be taken, and what came of asking."""

from functools import cached_property

import msgspec


class Quota(msgspec.Struct, frozen=True, dict=True):
    """`limit` units in each window of `per` seconds, of which a hit takes `cost`.

    Quotas with one `key` and `per` share a count, whatever their limits say. `message` is what a refused client reads.
    Quotas that are taken together on a Redis Cluster need the same {tag} in their keys.
    """

    key: str
    limit: int
    per: float = 1.0
    message: str | None = None
    cost: int = 1

    @cached_property
    def name(self) -> str:
        """The key of the count: with a hash tag, and with the length of the window, which numbers windows."""
        key = self.key if "{" in self.key else f"{{{self.key}}}"
        return f"{key}:{self.per:g}"


Quotas = tuple[Quota, ...]


class Hit(msgspec.Struct, gc=False):
    """What came of asking for one unit of some quotas together: all of them were taken, or none.

    `full` is the quota that had no room; None: taken. `tightest` is the quota with the least room left, `remaining`
    how many more hits it has room for, and `reset` the seconds until its window ends; None: nobody counted.
    `windows` are the numbers of the windows, one a quota, and `counter` says who counted: for giving back.
    """

    quotas: Quotas
    full: Quota | None = None
    tightest: Quota | None = None
    remaining: int = 0
    reset: float = 0.0
    windows: tuple[int, ...] = ()
    counter: object = None
