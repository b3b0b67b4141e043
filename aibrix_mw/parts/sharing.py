"""What replicas share beside counts: who lives, what is in flight, charges, scrapes, users' records; all by a store."""

from collections.abc import Awaitable, Callable, Collection

from starlette.types import ASGIApp

from aibrix_mw.limiting.limiter import SharedLimiter
from aibrix_mw.middleware.userlimit import UserLimitMiddleware
from aibrix_mw.parts.counting import Counting
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import Settings, UsersSettings
from aibrix_mw.shared.charges import Charges
from aibrix_mw.shared.exchange import Exchange
from aibrix_mw.shared.in_flight import InFlight
from aibrix_mw.shared.scrapes import SharedScrapes
from aibrix_mw.shared.users import StoredUsers, Users
from aibrix_mw.strategies.catalogue import Catalogue


class Sharing:
    """The exchange with other gateways and what engines tell them, None without a store, and the limits of users."""

    def __init__(self, settings: Settings, registry: PodRegistry, counting: Counting, catalogue: Catalogue) -> None:
        self.limiter = counting.limiter
        self.exchange: Exchange | None = None
        self.scrapes: SharedScrapes | None = None
        stored: StoredUsers | None = None
        if counting.windows is not None:
            client = counting.windows.client
            stored = StoredUsers(client)
            topics = [InFlight(registry).topic(), Charges(catalogue).topic()]
            self.scrapes = SharedScrapes(settings.scrape.interval)
            self.exchange = Exchange(client, topics, bulletin=self.scrapes, namespace=settings.store.namespace)
        if isinstance(self.limiter, SharedLimiter):
            self.limiter.live_gateways = self.live_gateways
        self.users = Users(
            settings.users.records,
            stored,
            timeout=settings.store.timeout,
            away=lambda: self.limiter.away,
            strict=settings.rate_limit.on_store_error == "refuse",
        )

    def live_gateways(self) -> int:
        """The last known number of gateways that share the store, this one included."""
        return self.exchange.live if self.exchange is not None else 1

    def limits_users(self, users: UsersSettings) -> bool:
        """Whether any user can have a limit."""
        return bool(users.records) or self.users.stored is not None

    def limit_users(self, app: ASGIApp, paths: Collection[str]) -> UserLimitMiddleware:
        """Put the limits of users around an application."""
        return UserLimitMiddleware(app, users=self.users, limiter=self.limiter, paths=paths)

    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """What tells and hears other gateways while this one runs."""
        return [] if self.exchange is None else [self.exchange.run]

    async def aclose(self) -> None:
        """End what is under way; before the store's connections are closed."""
        await self.users.aclose()
