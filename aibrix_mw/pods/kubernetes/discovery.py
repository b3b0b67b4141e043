"""KubernetesPods: a registry kept in step with an API server."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from aibrix_mw.errors import Fault
from aibrix_mw.pods.kubernetes.client import ApiServer
from aibrix_mw.pods.kubernetes.events import Events
from aibrix_mw.pods.kubernetes.namespaces import Pooled, scoped
from aibrix_mw.pods.kubernetes.stream import Stream, Timing
from aibrix_mw.pods.manifest import NAME, PORT
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import KubernetesSettings

# pods named by label, and those named by annotation: no label holds meta-llama/Llama-3.1-8B
SELECTORS = (NAME, f"{PORT},!{NAME}")


class KubernetesPods:
    """The pods of the namespaces that the settings name, two streams each.

    `open`, then `run` for as long as it is to be kept up, and `aclose`. Only pods are read. Whatever happens to the API
    server, pods stay as they were last known.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        registry: PodRegistry,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.timing = timing
        self.rng = rng or random.Random()
        self.clock = clock
        self.sleep = sleep
        self.api = ApiServer(settings)
        self.streams: list[Stream] = []
        self._pods = Pooled(registry)

    async def open(self) -> None:
        """Read the credentials; ConfigurationError. Nothing is asked yet."""
        await self.api.connect()
        named = self.settings.namespaces or (self.api.namespace,)
        namespaces = [None] if self.settings.all_namespaces else list(dict.fromkeys(named))
        order = [namespace for namespace in namespaces if namespace is not None]
        self._pods = scoped(self.registry, self.settings.model_scope, order)
        self.streams = [self._stream(namespace, selector) for namespace in namespaces for selector in SELECTORS]
        self.registry.complete = False

    async def run(self) -> None:
        """Keep the registry in step; runs until cancelled. `aclose` comes after it, whether it has begun or not."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if self.settings.emit_events:
                    events = Events(self.api)
                    self.registry.on_fault = events.emit
                    self._pods.on_pod = events.see
                    tasks.create_task(events.run())
                for stream in self.streams:
                    tasks.create_task(stream.run())
        finally:
            self.registry.on_fault = None

    async def aclose(self) -> None:
        """Close all connections."""
        await self.api.aclose()

    def not_ready(self) -> str | None:
        """Why no request can be routed yet; None once every first list is in, whatever happens later."""
        missing = [stream for stream in self.streams if not stream.synced]
        if self.streams and not missing:
            return None
        return next((str(stream.fault) for stream in missing if stream.fault), "waiting for the first list of pods")

    def age(self) -> float:
        """Seconds since every watch was known to be good; 0 while they are."""
        return max((stream.age() for stream in self.streams), default=0.0)

    def errors(self) -> int:
        """Exchanges with the API server that failed."""
        return sum(stream.errors for stream in self.streams)

    def faults(self) -> list[Fault]:
        """What is wrong now, with the API server or with the names of models."""
        return [stream.fault for stream in self.streams if stream.fault is not None] + self._pods.faults()

    def _stream(self, namespace: str | None, selector: str) -> Stream:
        return Stream(
            self.api,
            self._pods,
            namespace,
            selector,
            on_synced=self._synced,
            timing=self.timing,
            rng=self.rng,
            clock=self.clock,
            sleep=self.sleep,
        )

    def _synced(self) -> None:
        self.registry.complete = self.not_ready() is None
