"""How limits are counted: the parts that the settings `store` and `rate_limit` call for."""

import logging
from collections.abc import Awaitable, Callable

from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.limiting.redis import RedisWindows
from aibrix_mw.limiting.store import open_limiter, open_windows
from aibrix_mw.secretfile import SecretFile
from aibrix_mw.settings import RateLimitSettings, StoreSettings

logger = logging.getLogger("aibrix_mw")


class Counting:
    """The limiter of a gateway, and the store behind it.

    `windows` are those in the store, None without one; `load` reads the store's password, and `watchers` follow it.
    """

    def __init__(self, store: StoreSettings, rate_limit: RateLimitSettings, lifecycle: Lifecycle) -> None:
        self.rate_limit = rate_limit
        self.password: SecretFile | None = None
        if store.url is not None and store.password_file is not None:
            self.password = SecretFile(store.password_file, "store.password_file")
        self.windows = self._in_store(store)
        shared = None if rate_limit.per_replica else self.windows
        self.limiter = open_limiter(shared, on_error=rate_limit.on_store_error, timeout=store.timeout)
        if rate_limit.on_store_error == "refuse":
            lifecycle.checks.append(self._away)

    def _in_store(self, store: StoreSettings) -> RedisWindows | None:
        if store.url is None:
            return None
        password = self.password
        windows = open_windows(
            store.url,
            namespace=store.namespace,
            username=store.username,
            password=(lambda: password().decode()) if password is not None else None,
            ca_file=store.ca_file,
            timeout=store.timeout,
        )
        assert isinstance(windows, RedisWindows)
        return windows

    def _away(self) -> str | None:
        away = self.limiter.away
        return None if away is None else f"the store is away: {away}"

    def load(self) -> None:
        """Read the store's password; ConfigurationError when that is not possible."""
        if self.password is not None:
            self.password.load()

    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """What follows the password file while the gateway runs."""
        return [] if self.password is None else [self.password.watch]

    async def start(self) -> None:
        """Look whether the store is there, and say who shares counts."""
        if not self.limiter.shared:
            reason = "rate_limit.per_replica" if self.rate_limit.per_replica else "no store.url"
            logger.info("limits are counted in this process, replicas do not share them: %s", reason)
        await self.limiter.start()

    async def aclose(self) -> None:
        """Close the store's connections."""
        await self.limiter.aclose()
        if self.windows is not None:
            await self.windows.aclose()
