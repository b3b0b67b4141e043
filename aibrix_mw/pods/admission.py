"""Which candidates a strategy gets to see: those that neither fail nor are still warming up."""

from collections.abc import Sequence

from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.slow_start import SlowStart


class Admission:
    """Ejection and slow start, in this order: it costs nothing while all pods are well and warm."""

    def __init__(self, registry: PodRegistry, ejection: Ejection | None = None, slow_start: float = 30.0) -> None:
        self.registry = registry
        self.ejection = ejection or Ejection()
        self.slow_start = SlowStart(registry.risen, slow_start, self.ejection.clock)
        registry.leaving.append(self.ejection.forget)
        registry.leaving.append(self.slow_start.forget)

    def admit(self, pods: Sequence[Pod]) -> Sequence[Pod]:
        """The candidates that are left; at least one."""
        return self.slow_start.admit(self.ejection.admit(pods)) if len(pods) > 1 else pods

    def placed(self, pod: Pod) -> int:
        """A request goes to the pod; returns its number, by which its end is told."""
        if self.slow_start.tickets:
            self.slow_start.placed(pod)
        return self.ejection.placed(pod)

    def failed(self, pod: Pod, turn: int) -> None:
        """An attempt failed for a reason of the pod's."""
        self.ejection.failed(pod, turn, self.registry.serving(pod.info.model))
