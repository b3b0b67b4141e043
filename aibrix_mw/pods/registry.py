"""Who is there: models, the names they answer to, and their pods.

Readers look up an immutable `Served` by name; only discovery and the settings file write. A pod keeps its object as
long as its uid lives, whichever way its description changes. The file is long because a change of pods, names and
configuration is published in one step.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from weakref import WeakValueDictionary

from aibrix_mw.errors import Fault
from aibrix_mw.pods.churn import Churn
from aibrix_mw.pods.model import NOTHING, Check, ModelDefinition, ModelState, Served, read_annotation
from aibrix_mw.pods.pod import Pod, PodInfo
from aibrix_mw.profiles import BUILT_IN, ModelConfig, OwnOptions

__all__ = ["ModelDefinition", "PodRegistry", "Served"]

logger = logging.getLogger("aibrix_mw")


class PodRegistry:
    """Pods by the names that clients write.

    `remember` is how many seconds a model whose last pod left stays known (answered 503 instead of 404). With
    `last_resort` a name without routable pods stands for those that terminate and still serve. `check` finds what is
    wrong with a configuration that can be read and is used: its faults are reported. `on_fault` is told of each new
    fault of a pod's annotation. Until it is `complete`, a name that is not here may still be served. `own_options` are
    keys of routingConfig beyond the gateway's own. `risen` has the pods that turned routable after their source's first
    list, with the moment; who uses it takes them out. `leaving` are called with each pod that is gone for good.
    """

    def __init__(
        self,
        *,
        remember: float = 600.0,
        last_resort: bool = False,
        clock: Callable[[], float] = time.monotonic,
        check: Check = lambda _: (),
        own_options: OwnOptions | None = None,
    ) -> None:
        self.remember = remember
        self.last_resort = last_resort
        self.own_options = own_options
        self.clock = clock
        self.check = check
        self.complete = True
        self.churn = Churn(clock)
        self.on_fault: Callable[[PodInfo, Fault], object] | None = None
        read = partial(read_annotation, check, own_options)
        self._annotation = lru_cache(maxsize=4096)(read)  # pods of a model share theirs
        self.invalid_configs: Counter[str] = Counter()
        self.risen: dict[Pod, float] = {}
        self.leaving: list[Callable[[Pod], None]] = []
        self._models: dict[str, ModelState] = {}
        self._served: dict[str, Served] = {}
        self._pods: dict[str, Pod] = {}
        # a pod that leaves one source just before it comes by another is the same pod, with its requests in flight
        self._alive: WeakValueDictionary[str, Pod] = WeakValueDictionary()
        self._uids: dict[str, set[str]] = defaultdict(set)
        self._listed: set[str] = set()
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._reported: dict[str, set[str]] = defaultdict(set)

    # --- reading

    def find(self, name: str) -> Served | None:
        """What the name stands for, or None when no model, adapter or alias has it."""
        served = self._served.get(name)
        if served is None or served.pods or self._is_remembered(served.model):
            return served
        return None

    def config(self, name: str) -> ModelConfig:
        """The configuration of what the name stands for; the built-in one where that is nothing."""
        served = self._served.get(name)
        if served is not None and (served.pods or self._is_remembered(served.model)):
            return served.config
        return BUILT_IN

    def serving(self, name: str) -> tuple[Pod, ...]:
        """The routable pods behind a name; empty when there are none."""
        served = self._served.get(name)
        return served.pods if served is not None else NOTHING

    def pod(self, uid: str) -> Pod | None:
        """The live pod with this uid."""
        return self._pods.get(uid)

    def pods(self) -> Iterable[Pod]:
        """Every live pod."""
        return self._pods.values()

    def models(self) -> dict[str, tuple[Pod, ...]]:
        """Every known model with all of its pods, routable or not."""
        return {name: tuple(m.members.values()) for name, m in self._models.items() if self._is_remembered(name)}

    def members(self, model: str) -> tuple[Pod, ...]:
        """All pods of a model, routable or not."""
        known = self._models.get(model)
        return () if known is None else tuple(known.members.values())

    def names(self) -> dict[str, Served]:
        """Every name that has routable pods, with what it stands for."""
        return {name: served for name, served in self._served.items() if served.pods}

    def faults(self) -> list[Fault]:
        """What is wrong with the models' configuration now."""
        return [fault for model in self._models.values() for fault in model.config_faults]

    def _is_remembered(self, model: str) -> bool:
        known = self._models[model]
        if known.members or known.definition is not None or known.left is None:
            return True
        return self.clock() - known.left <= self.remember

    # --- writing

    def define(self, definitions: Mapping[str, ModelDefinition]) -> None:
        """Take over the settings' models, in place of those defined before."""
        changed = {name for name, model in self._models.items() if model.definition is not None} | definitions.keys()
        for name in changed:
            self._model(name).definition = definitions.get(name)
        self._refresh_all(changed)

    def replace(self, source: str, infos: Iterable[PodInfo]) -> None:
        """Make these the pods of one source of discovery; those it had before and no longer has are gone."""
        wanted = {info.uid: info for info in infos}
        self._change(source, self._uids[source] - wanted.keys(), wanted.values())
        self._listed.add(source)

    def put(self, source: str, *infos: PodInfo) -> None:
        """Add pods, or describe known ones anew."""
        self._change(source, (), infos)

    def retain(self, source: str, uids: Collection[str]) -> None:
        """Forget the pods of a source that are not among these, which are all that it lists."""
        self._change(source, self._uids[source].difference(uids), ())
        self._listed.add(source)

    def remove(self, source: str, *uids: str) -> None:
        """Forget pods, unless another source has them too; requests in flight on them are left alone."""
        self._change(source, uids, ())

    def _change(self, source: str, gone: Iterable[str], infos: Iterable[PodInfo]) -> None:
        touched: set[str] = set()
        for uid in gone:
            touched |= self._remove(source, uid)
        for info in infos:
            touched |= self._put(source, info)
        self._refresh_all(touched)

    def _put(self, source: str, info: PodInfo) -> set[str]:
        """Take over one pod; returns the models that it touches."""
        self._uids[source].add(info.uid)
        pod = self._pods.get(info.uid)
        if pod is not None and pod.info == info:
            return set()
        before = pod.info if pod is not None else None
        pod = pod or self._alive.get(info.uid)
        was_routable = pod is not None and pod.info.excluded is None
        pod = self._pods[info.uid] = pod or Pod(info)
        self._alive[info.uid] = pod
        pod.describe(info)
        self.churn.see(before, info)
        self._note_rise(source, pod, was_routable=was_routable)
        if before is not None and before.model != info.model:
            del self._models[before.model].members[info.uid]
        self._model(info.model).members[info.uid] = pod
        return {info.model if before is None else before.model, info.model}

    def _note_rise(self, source: str, pod: Pod, *, was_routable: bool) -> None:
        if pod.info.excluded is not None:
            self.risen.pop(pod, None)
        elif not was_routable and source in self._listed:
            self.risen[pod] = self.clock()

    def _remove(self, source: str, uid: str) -> set[str]:
        if uid not in self._uids[source]:
            return set()
        self._uids[source].remove(uid)
        if any(uid in uids for uids in self._uids.values()):
            return set()
        pod = self._pods.pop(uid)
        model = pod.info.model
        del self._models[model].members[uid]
        self._reported.pop(uid, None)
        self.churn.forget(uid)
        self.risen.pop(pod, None)
        for left in self.leaving:
            left(pod)
        return {model}

    def _model(self, name: str) -> ModelState:
        if name not in self._models:
            self._forget_stale()
            self._models[name] = ModelState()
        return self._models[name]

    def _forget_stale(self) -> None:
        for name in [name for name in self._models if not self._is_remembered(name)]:
            self._reported.pop(name, None)
            for alias in self._models.pop(name).names:
                del self._served[alias]

    def _refresh_all(self, models: set[str]) -> None:
        """Compute anew what the models' names stand for, and let others have the names that came free."""
        free: set[str] = set()
        for name in sorted(models & self._models.keys()):
            free |= self._refresh(name)
        waiting = {model for name in free for model in self._waiting.pop(name, ())}
        for name in sorted(waiting & self._models.keys()):
            self._refresh(name)

    def _refresh(self, name: str) -> set[str]:
        """Compute one model's names anew; returns those that another model may have now."""
        model = self._models[name]
        model.left = None if model.members else (self.clock() if model.left is None else model.left)
        ready = model.routable()
        self._choose_config(name, model, ready)
        pods = model.usable(ready, None, last_resort=self.last_resort)
        prefix = model.prefix()
        own = name.removeprefix(prefix)
        fresh = {name: Served(name, pods, model.config, rewrite=own if prefix else None)}
        for adapter in {adapter for pod in model.members.values() for adapter in pod.info.adapters}:
            serving = model.usable(ready, adapter, last_resort=self.last_resort)
            rewrite = adapter.removeprefix(prefix) if prefix else None
            fresh.setdefault(adapter, Served(name, serving, model.config, rewrite))
        for alias in model.definition.aliases if model.definition else ():
            fresh.setdefault(alias, Served(name, pods, model.config, rewrite=own, alias=True))
        if not model.members:
            # as the model itself, its adapters are remembered when the last pod has left
            for adapter in [known for known in model.names if not self._served[known].alias]:
                fresh.setdefault(adapter, Served(name, NOTHING, model.config))
        return self._publish(name, model, fresh)

    def _publish(self, name: str, model: ModelState, fresh: dict[str, Served]) -> set[str]:
        """Replace the model's names; returns those that it gave up, or that have no pod now.

        A model's own name wins over another's alias or adapter; between those, the first one that has pods stays.
        """
        gone = model.names - fresh.keys()
        for alias in gone:
            del self._served[alias]
        model.names = set()
        for alias, served in fresh.items():
            if self._claim(alias, name, served):
                model.names.add(alias)
                self._served[alias] = served
        return gone | {alias for alias in model.names if not self._served[alias].pods}

    def _claim(self, alias: str, name: str, served: Served) -> bool:
        """Whether the model gets the name; the one that does not waits for it."""
        holder = self._served.get(alias)
        if holder is None or holder.model == name:
            return True
        if alias == name or (served.pods and not holder.pods and not self._is_own_name(alias)):
            self._models[holder.model].names.discard(alias)
            self._waiting[alias].add(holder.model)
            return True
        self._waiting[alias].add(name)
        self._report(name, Fault(alias, f"is a name of model {holder.model}; model {name} does not get it"))
        return False

    def _is_own_name(self, alias: str) -> bool:
        """Whether a model of that name is there; one that is only remembered does not keep its name from others."""
        model = self._models.get(alias)
        return model is not None and (bool(model.members) or model.definition is not None)

    def _choose_config(self, name: str, model: ModelState, routable: tuple[Pod, ...]) -> None:
        invalid = 0
        for key, faults, warnings in model.choose_config(name, routable, self._annotation):
            for warning in warnings:
                self._report(key, warning)
            fresh = [fault for fault in faults if self._report(key, fault)]
            # an annotation counts once, however much is wrong in it
            invalid += bool(fresh)
            if self.on_fault is not None and key in self._pods:
                for fault in fresh:
                    self.on_fault(self._pods[key].info, fault)
        if invalid:
            self.invalid_configs[name] += invalid

    def _report(self, key: str, fault: Fault) -> bool:
        """Log a fault the first time it is seen."""
        text = str(fault)
        if text in self._reported[key]:
            return False
        self._reported[key].add(text)
        logger.warning("%s", text)
        return True
