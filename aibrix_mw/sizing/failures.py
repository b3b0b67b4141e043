"""Why there is no size, and the exit code that says so."""

from typing import ClassVar


class SizingError(Exception):
    """Nothing can be measured; the message is for the one who asked."""

    code: ClassVar[int] = 1


class TargetRefused(SizingError):
    """The target cannot be reached, or refuses a single request."""

    code = 3


class LimitMet(SizingError):
    """The target limits requests with 429: what would be found is the limit, not what the replica can do."""

    code = 4


class GeneratorTooSlow(SizingError):
    """The load generator did not keep its schedule: what would be found is the generator's own capacity."""

    code = 5


class NothingSustained(SizingError):
    """Not even a single request at a time is served within the bounds."""

    code = 6
