"""What the small API server remembers: pods, and all that happened to them."""

import asyncio
import uuid
from datetime import UTC, datetime


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(base, patch):
    """JSON merge patch."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged


class Store:
    """Pods, and all that happened to them since the last compaction: (version, before, after)."""

    def __init__(self):
        self.version = 1000
        self.pods = {}
        self.events = []
        self.history = []
        self.oldest = self.version
        self.snapshots = {}
        self.changed = asyncio.Event()

    def write(self, key, pod):
        """Put a pod, or delete it with None; wakes the watches."""
        self.version += 1
        before = self.pods.pop(key, None)
        after = pod if pod is not None else before
        after = after | {"metadata": after["metadata"] | {"resourceVersion": str(self.version)}}
        if pod is not None:
            self.pods[key] = after
        self.history.append((self.version, before, after, pod is None))
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        return after

    def compact(self):
        """Forget what happened, and pages that somebody may be in the middle of."""
        self.version += 1
        self.oldest = self.version
        self.history.clear()
        self.snapshots.clear()
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def since(self, version, wanted):
        """Watch events after a version, as one watcher with its selector sees them."""
        for at, before, after, deleted in self.history:
            if at > version:
                was, matches = before is not None and wanted(before), wanted(after) and not deleted
                if was or matches:
                    kind = "DELETED" if not matches else "MODIFIED" if was else "ADDED"
                    yield {"type": kind, "object": after}


def fill(store, template, namespace, pods, models):
    """Pods like a template, spread over models."""
    ready = template["status"] | {"conditions": [{"type": "Ready", "status": "True"}]}
    for number in range(pods):
        model = f"model-{number % models}"
        named = {
            "labels": {"model.aibrix.ai/name": model, "model.aibrix.ai/port": "8000"},
            "annotations": template["metadata"]["annotations"] | {"model.aibrix.ai/adapters": f"{model}-sql"},
        }
        meta = {
            "name": f"pod-{number:05}",
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": now(),
        }
        address = {"podIP": f"10.1.{number // 250}.{number % 250 + 1}"}
        pod = template | {"metadata": template["metadata"] | meta | named, "status": ready | address}
        store.write((namespace, meta["name"]), pod)


def storm(store, namespace, changes):
    """Turn the first pods of a namespace NotReady, all at once."""
    for key in sorted(key for key in store.pods if key[0] == namespace)[:changes]:
        pod = store.pods[key]
        store.write(key, pod | {"status": pod["status"] | {"conditions": [{"type": "Ready", "status": "False"}]}})
