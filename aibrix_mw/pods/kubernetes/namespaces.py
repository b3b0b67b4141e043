"""What a model's name means when several namespaces are watched (`discovery.kubernetes.model_scope`)."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import msgspec

from aibrix_mw.errors import Fault
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.pods.registry import PodRegistry

logger = logging.getLogger("aibrix_mw")

Key = tuple[str, str]


class Pooled:
    """`cluster`: pods of one model are one pool, wherever they are. `on_pod` is told of each description of a pod."""

    def __init__(self, registry: PodRegistry) -> None:
        self.registry = registry
        self.on_pod: Callable[[PodInfo], object] | None = None

    def put(self, source: str, *infos: PodInfo) -> None:
        """Add pods of a source, or describe them anew."""
        if self.on_pod is not None:
            for info in infos:
                self.on_pod(info)
        self.registry.put(source, *infos)

    def remove(self, source: str, uid: str) -> None:
        """Forget a pod, unless another source has it."""
        self.registry.remove(source, uid)

    def retain(self, source: str, uids: Collection[str]) -> None:
        """Forget the pods of a source that are not among these."""
        self.registry.retain(source, uids)

    def faults(self) -> list[Fault]:
        """Models whose name is taken twice."""
        return []


class Qualified(Pooled):
    """`namespace`: models and adapters are named `namespace/name`."""

    def put(self, source: str, *infos: PodInfo) -> None:
        """Add pods under their long names."""
        super().put(source, *(_qualify(info) for info in infos))


def _qualify(info: PodInfo) -> PodInfo:
    prefix = f"{info.namespace}/"
    adapters = tuple(prefix + name for name in info.adapters)
    return msgspec.structs.replace(info, model=prefix + info.model, adapters=adapters, prefix=prefix)


class Strict(Pooled):
    """`strict`: of several namespaces with pods of one model the first one serves it, and that is a fault.

    `order` are the namespaces as they were listed; those that are not in it come after, by name.
    """

    def __init__(self, registry: PodRegistry, order: Sequence[str] = ()) -> None:
        super().__init__(registry)
        self.order = {namespace: place for place, namespace in enumerate(order)}
        self._infos: dict[Key, PodInfo] = {}
        self._models: defaultdict[str, defaultdict[str, set[Key]]] = defaultdict(lambda: defaultdict(set))
        self._told: set[Fault] = set()

    def put(self, source: str, *infos: PodInfo) -> None:
        """Add pods; those in a namespace that does not serve their model are left out, with the reason."""
        models = {info.model for info in infos}
        models |= {old.model for info in infos if (old := self._infos.get((source, info.uid))) is not None}
        before = {model: self._first(model) for model in models}
        for info in infos:
            self._forget((source, info.uid))
            self._infos[source, info.uid] = info
            self._models[info.model][info.namespace].add((source, info.uid))
        super().put(source, *(self._view(info) for info in infos))
        self._settle(before)

    def remove(self, source: str, uid: str) -> None:
        """Forget a pod; when it was the last of its namespace, the next one serves the model."""
        self._without(source, {uid} if (source, uid) in self._infos else set())

    def retain(self, source: str, uids: Collection[str]) -> None:
        """Forget the pods of a source that are not among these."""
        self._without(source, {uid for held, uid in self._infos if held == source and uid not in uids})

    def faults(self) -> list[Fault]:
        """Models with pods in several namespaces."""
        return [self._fault(model) for model, held in sorted(self._models.items()) if len(held) > 1]

    def _without(self, source: str, uids: Collection[str]) -> None:
        before = {model: self._first(model) for model in {self._infos[source, uid].model for uid in uids}}
        for uid in uids:
            self._forget((source, uid))
        self.registry.remove(source, *uids)
        self._settle(before)

    def _forget(self, key: Key) -> None:
        info = self._infos.pop(key, None)
        if info is None:
            return
        namespaces = self._models[info.model]
        namespaces[info.namespace].discard(key)
        if not namespaces[info.namespace]:
            del namespaces[info.namespace]
        if not namespaces:
            del self._models[info.model]

    def _settle(self, before: dict[str, str | None]) -> None:
        """Describe the pods anew whose model another namespace serves now; tell of names that are taken twice."""
        for model, first in before.items():
            if self._first(model) != first and first is not None:
                for source, uid in [key for keys in self._namespaces(model).values() for key in keys]:
                    self.registry.put(source, self._view(self._infos[source, uid]))
            if len(self._namespaces(model)) > 1 and (fault := self._fault(model)) not in self._told:
                self._told.add(fault)
                logger.warning("%s", fault)

    def _first(self, model: str) -> str | None:
        return min(self._namespaces(model), key=self._place, default=None)

    def _namespaces(self, model: str) -> dict[str, set[Key]]:
        return self._models.get(model) or {}  # a look-up in the defaultdict would leave an entry

    def _place(self, namespace: str) -> tuple[int, str]:
        return self.order.get(namespace, len(self.order)), namespace

    def _view(self, info: PodInfo) -> PodInfo:
        if self._first(info.model) == info.namespace:
            return info
        return msgspec.structs.replace(info, excluded="other_namespace", last_resort=False, adapters=())

    def _fault(self, model: str) -> Fault:
        found = sorted(self._namespaces(model), key=self._place)
        reason = f"has pods in namespaces {', '.join(found)}; those of {found[0]} serve it"
        return Fault(f"model {model}", f"{reason} (discovery.kubernetes.model_scope: strict)")


def scoped(registry: PodRegistry, scope: Literal["strict", "cluster", "namespace"], order: Sequence[str]) -> Pooled:
    """The meaning that a setting names."""
    if scope == "namespace":
        return Qualified(registry)
    return Pooled(registry) if scope == "cluster" else Strict(registry, order)
