"""Who may use the gateway: the parts that the settings `auth` call for, none when they are empty."""

from collections.abc import Awaitable, Callable, Collection

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.keyfile import KeyFile
from aibrix_mw.keys import KeyRing
from aibrix_mw.middleware.auth import AllowanceMiddleware, AuthMiddleware
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.secretfile import SecretFile
from aibrix_mw.settings import AuthSettings, CorsSettings


def cross_origin(settings: CorsSettings) -> list[Middleware]:
    """What lets pages of the named origins call the gateway; a page sends its key itself, never the browser for it."""
    if not settings.origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=("*",),
        )
    ]


class Access:
    """Keys of clients and the key for engines, read by `load` and followed by `watchers` from then on."""

    def __init__(self, settings: AuthSettings) -> None:
        self.keys = KeyRing()
        self.key_file = KeyFile(settings.keys_file, self.keys) if settings.keys_file is not None else None
        self.engine_key: SecretFile | None = None
        if settings.engine_key_file is not None:
            self.engine_key = SecretFile(settings.engine_key_file, "auth.engine_key_file")

    @property
    def asked(self) -> KeyRing | None:
        """The keys of which clients need one; None where they need none."""
        return None if self.key_file is None else self.keys

    def at_the_door(self, paths: Collection[str]) -> list[Middleware]:
        """What stands before the body is read."""
        if self.key_file is None and self.engine_key is None:
            return []
        return [Middleware(AuthMiddleware, keys=self.asked, engine_key=self.engine_key, paths=paths)]

    def inside(self, registry: PodRegistry, paths: Collection[str]) -> list[Middleware]:
        """What stands where model and profile are known."""
        if self.key_file is None:
            return []
        return [Middleware(AllowanceMiddleware, registry=registry, paths=paths)]

    def load(self) -> None:
        """Read the files; ConfigurationError when one of them cannot be used."""
        if self.key_file is not None:
            try:
                self.key_file.load()
            except ConfigurationError as error:
                raise ConfigurationError([Fault("auth.keys_file", str(fault)) for fault in error.faults]) from None
        if self.engine_key is not None:
            self.engine_key.load()

    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """What follows the files while the gateway runs."""
        return [file.watch for file in (self.key_file, self.engine_key) if file is not None]

    def faults(self) -> list[Fault]:
        """What is wrong with the keys file now."""
        fault = self.key_file.fault if self.key_file is not None else None
        return [] if fault is None else [fault]
