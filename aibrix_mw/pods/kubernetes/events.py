"""Faults of pods as Kubernetes Events, so that `kubectl describe pod` shows them."""

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aibrix_mw.errors import Fault
from aibrix_mw.pods.kubernetes.answers import DiscoveryError, Refused
from aibrix_mw.pods.kubernetes.client import ApiServer
from aibrix_mw.pods.manifest import PORT
from aibrix_mw.pods.pod import PodInfo

logger = logging.getLogger("aibrix_mw")

_WAITING = 1000
_LONGEST_MESSAGE = 1024  # the API server's own bound
_CONFLICT = 409


class Events:
    """Writes each fault of a pod once; of several gateways the first one writes it."""

    def __init__(self, api: ApiServer, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.api = api
        self.now = now
        self._waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_WAITING)
        self._told = False
        self._ports: dict[str, str] = {}

    def emit(self, info: PodInfo, fault: Fault) -> None:
        """Have an Event written soon; dropped, with a log line, when too many wait."""
        try:
            self._waiting.put_nowait((info.namespace, self._event(info, fault)))
        except asyncio.QueueFull:
            logger.warning("too many Kubernetes Events wait, one is dropped: %s", fault)

    def see(self, info: PodInfo) -> None:
        """Have an Event written when the pod's port label is none, once as long as it stays so."""
        if info.excluded != "invalid_port":
            self._ports.pop(info.uid, None)
        elif self._ports.get(info.uid) != info.labels[PORT]:
            if len(self._ports) >= _WAITING:
                self._ports.clear()  # of pods that are gone nobody tells; to write one again changes nothing
            self._ports[info.uid] = info.labels[PORT]
            where = f"pod {info.namespace}/{info.name}, model {info.model}: label {PORT}"
            self.emit(info, Fault(where, f"not a port (1..65535): {info.labels[PORT]!r}; the pod is left out"))

    async def run(self) -> None:
        """Write what waits; runs until cancelled."""
        while True:
            namespace, event = await self._waiting.get()
            try:
                await self.api.create_event(namespace, event)
            except DiscoveryError as error:
                self._failed(error)
            except Exception:
                logger.exception("a Kubernetes Event cannot be written")

    def _failed(self, error: DiscoveryError) -> None:
        if isinstance(error, Refused) and error.status == _CONFLICT:
            return  # another gateway has written it
        if not self._told:
            logger.warning("Kubernetes Events cannot be written: %s", error)
        self._told = True

    def _event(self, info: PodInfo, fault: Fault) -> dict[str, Any]:
        message = str(fault)[:_LONGEST_MESSAGE]
        digest = hashlib.sha256(f"{info.uid} {message}".encode()).hexdigest()[:16]
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        pod = {"apiVersion": "v1", "kind": "Pod", "namespace": info.namespace, "name": info.name, "uid": info.uid}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{info.name}.{digest}", "namespace": info.namespace},
            "involvedObject": pod,
            "type": "Warning",
            "reason": "InvalidPort" if info.excluded == "invalid_port" else "InvalidConfig",
            "message": message,
            "source": {"component": "aibrix-mw", "host": os.environ.get("HOSTNAME") or socket.gethostname()},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
