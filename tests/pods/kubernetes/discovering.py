"""KubernetesPods at work, with a registry to look at."""

import asyncio

from aibrix_mw.pods.kubernetes.discovery import KubernetesPods
from aibrix_mw.pods.kubernetes.stream import Timing
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.settings import KubernetesSettings
from tests.support import until

DEFAULT = Timing()


class Discovering:
    """Follows a cluster's namespace, unless settings say another one."""

    def __init__(self, cluster, *, timing=DEFAULT, last_resort=False, context=None, token=None, **settings):
        self.registry = PodRegistry(last_resort=last_resort)
        settings.setdefault("namespaces", (cluster.namespace,))
        file = settings.pop("kubeconfig", None) or cluster.through_wire(context=context, token=token)
        self.pods = KubernetesPods(
            KubernetesSettings(enabled=True, kubeconfig=file, **settings), self.registry, timing=timing
        )

    async def start(self):
        await self.pods.open()
        self.task = asyncio.ensure_future(self.pods.run())

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.pods.aclose()

    def serving(self, name="m"):
        """Names of the pods that may take requests."""
        return sorted(pod.info.name for pod in self.registry.serving(name))

    def known(self, name="m"):
        """Why each pod of a model takes no requests, by its name."""
        return {pod.info.name: pod.info.excluded for pod in self.registry.models().get(name, ())}

    async def sees(self, *pods, model="m"):
        """Wait until exactly these pods may take requests."""
        await until(lambda: self.serving(model) == sorted(pods))
