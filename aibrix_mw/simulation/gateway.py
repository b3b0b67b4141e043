"""One replica of the gateway: its own registry, its own strategy, its own view of every pod."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from aibrix_mw.outcome import Outcome
from aibrix_mw.pairing import Pairing
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.pods.pod import Address, Pod, PodInfo, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.scraper import EngineReader
from aibrix_mw.request import InferenceRequest
from aibrix_mw.retry import RetryBudget
from aibrix_mw.simulation.content import MODEL
from aibrix_mw.simulation.loop import Loop
from aibrix_mw.strategies.base import Strategy

_SOURCE = "simulation"


class Passage:
    """One request on its way through a gateway: tells pod and strategy what they hear of a real, streamed one."""

    __slots__ = ("_first_byte", "_gateway", "_lease", "_prefill", "_sent", "request", "target")

    def __init__(self, gateway: "Gateway", request: InferenceRequest, target: Target) -> None:
        self.request = request
        self.target = target
        self._gateway = gateway
        self._sent = self._first_byte = gateway.loop.now
        self._lease = target.pod.lease(request.prompt_tokens, target.match, gateway.loop)
        self._lease.__enter__()
        self._prefill = None
        if target.prefill is not None:
            self._lease.computed_elsewhere()
            self._prefill = target.prefill.lease(request.prompt_tokens, target.match, gateway.loop)
            self._prefill.__enter__()

    def prefilled(self) -> None:
        """The prefill pod has answered."""
        assert self._prefill is not None
        self._prefill.first_byte(streamed=True)
        self._prefill.__exit__(None, None, None)

    def first_token(self) -> None:
        """The first byte of the answer is there."""
        self._first_byte = self._gateway.loop.now
        self._lease.first_byte(streamed=True)

    def ended(self, prompt_tokens: int, output_tokens: int) -> None:
        """The last byte of the answer is there, and with it the engine's count of tokens."""
        now = self._gateway.loop.now
        self._lease.output(now - self._first_byte, output_tokens)
        self._lease.__exit__(None, None, None)
        outcome = Outcome(
            name="ok",
            status=200,
            sent=self._sent,
            first_byte=self._first_byte,
            last_byte=now,
            prompt_tokens=prompt_tokens,
            completion_tokens=output_tokens,
        )
        self._gateway.strategy.observe(self.request, self.target, outcome)


class Gateway:
    """Picks pods for requests as the served gateway does; knows nothing of other replicas."""

    def __init__(self, strategy: Strategy, loop: Loop, labels: Callable[[str], Mapping[str, str]]) -> None:
        self.loop = loop
        self.labels = labels
        self.strategy = strategy
        self.registry = PodRegistry(clock=loop)
        self.registry.leaving.append(strategy.forget)
        self.admission = Admission(self.registry, Ejection(clock=loop))
        self.pairing = Pairing(self.admission, RetryBudget(clock=loop), 2)
        self._readers: dict[str, EngineReader] = {}

    def discover(self, uids: Iterable[str]) -> None:
        """Hear from discovery at the start which pods there are; all are Ready, and warm."""
        self.registry.replace(_SOURCE, [self._info(uid, None) for uid in uids])

    def describe(self, uid: str, excluded: str | None) -> None:
        """Hear from discovery that a pod is there, and why it may not take requests."""
        self.registry.put(_SOURCE, self._info(uid, excluded))

    def forget(self, uid: str) -> None:
        """Hear from discovery that a pod is gone."""
        self.registry.remove(_SOURCE, uid)
        self._readers.pop(uid, None)

    def pass_on(self, request: InferenceRequest) -> Passage:
        """Choose a pod and hold it. NoReadyPods when there is none."""
        pods = candidates(self.registry, request)
        if self.strategy.two_legs:
            target = self.pairing.first(self.strategy, request, pods)
        else:
            target = self.strategy.pick(request, self.admission.admit(pods))
        self.admission.placed(target.pod)
        return Passage(self, request, target)

    def pods(self) -> Sequence[Pod]:
        """The pods that may take requests."""
        return self.registry.serving(MODEL)

    @property
    def scrapes(self) -> bool:
        """Whether the strategy looks at engines' metrics."""
        return bool(self.strategy.needs)

    def read(self, uid: str, text: bytes, expires: float) -> None:
        """Take an engine's metrics page, which counts until `expires`."""
        pod = next((pod for pod in self.pods() if pod.uid == uid), None)
        if pod is not None:
            reader = self._readers.get(uid)
            if reader is None:
                reader = self._readers[uid] = EngineReader(pod.info.engine, self.strategy.needs)
            pod.metrics = reader.read(text, self.loop.now, expires)

    def _info(self, uid: str, excluded: str | None) -> PodInfo:
        return PodInfo(
            uid=uid,
            name=uid,
            namespace=_SOURCE,
            model=MODEL,
            address=Address(uid, 8000),
            labels=self.labels(uid),
            excluded=excluded,
        )
