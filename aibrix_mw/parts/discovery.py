"""Where pods come from: the parts that the settings `discovery` call for, none when they are empty."""

from collections.abc import Awaitable, Callable

from aibrix_mw.errors import Fault
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.parts.extras import kubernetes_pods
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.static import PodFile
from aibrix_mw.settings import Settings


class Discovery:
    """A file of pods and an API server, looked at by `open` and followed by `watchers` from then on."""

    def __init__(self, settings: Settings, registry: PodRegistry, lifecycle: Lifecycle) -> None:
        file = settings.discovery.static.file
        self.pod_file = PodFile(file, registry) if file is not None else None
        self.kubernetes = kubernetes_pods(settings, registry)
        if self.kubernetes is not None:
            lifecycle.checks.append(self.kubernetes.not_ready)

    async def open(self) -> None:
        """Read the file and the credentials; ConfigurationError when one of them cannot be used."""
        if self.pod_file is not None:
            self.pod_file.load()
        if self.kubernetes is not None:
            await self.kubernetes.open()

    async def aclose(self) -> None:
        """Close the connections to the API server, whether it was followed or not."""
        if self.kubernetes is not None:
            await self.kubernetes.aclose()

    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """What keeps the registry in step while the gateway runs."""
        found: list[Callable[[], Awaitable[None]]] = []
        if self.pod_file is not None:
            found.append(self.pod_file.watch)
        if self.kubernetes is not None:
            found.append(self.kubernetes.run)
        return found

    def faults(self) -> list[Fault]:
        """What is wrong with the file or the API server now."""
        found = self.kubernetes.faults() if self.kubernetes is not None else []
        if self.pod_file is not None and self.pod_file.fault is not None:
            found.append(self.pod_file.fault)
        return found
