"""Settings as of now: `models`, `users` and `log.level` change while a gateway runs."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.filewatch import fingerprint, watch_file
from aibrix_mw.pods.definitions import define_models
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import Settings, reloaded, restart_needed

logger = logging.getLogger("aibrix_mw")


class LiveSettings:
    """Keeps a registry's defined models in step with the settings.

    `now` are the settings that apply; `fault` says what is wrong with the file as it is, None when it has been taken
    over.
    """

    def __init__(self, settings: Settings, registry: PodRegistry) -> None:
        self.now = settings
        self.fault: Fault | None = None
        self._registry = registry
        define_models(registry, settings.models)

    def watcher(self, file: Path, reload: Callable[[], None]) -> Callable[[], Awaitable[None]]:
        """What calls `reload` at each change of the file from now on; a file that it refuses is reported once."""
        since = fingerprint(file)

        def changed() -> None:
            try:
                reload()
            except ConfigurationError as error:
                if self.fault != error.faults[0]:
                    logger.error("%s: %s; the last good version stays", file, error)
                self.fault = error.faults[0]

        return lambda: watch_file(file, changed, since=since)

    def take_over(self, fresh: Settings) -> None:
        """Take over what can change at once; report what needs a restart. ConfigurationError changes nothing."""
        define_models(self._registry, fresh.models)
        for path in restart_needed(self.now, fresh):
            logger.warning("settings: %s has changed and needs a restart", path)
        self.now = reloaded(self.now, fresh)
        self.fault = None
        logger.info("settings: read again")
