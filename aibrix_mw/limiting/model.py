"""The limits that a model's configuration sets."""

from math import ceil, floor

from aibrix_mw.limiting.quota import Quota, Quotas
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import BUILT_IN_PROFILE, ConfigProfile
from aibrix_mw.request import InferenceRequest

_LONGEST_WINDOW = 3600
_ROUNDING = 1e-9  # 0.29 * 100 is meant to be 29


class ModelQuotas:
    """The limits of a request's model: of its profile, and of all profiles together.

    The profile's is `requestsPerSecondPerReplica` times the routable pods, where that is set: rounded down, and below
    one a second as one in a longer window, of an hour at most.
    """

    def __init__(self, registry: PodRegistry) -> None:
        self.registry = registry
        self._made: dict[tuple[str, str], tuple[object, Quotas]] = {}

    def of(self, request: InferenceRequest, profile: ConfigProfile) -> Quotas | None:
        """The quotas of a request; None when it has no limit."""
        total = self.registry.config(request.requested_model).requests_per_second
        if total <= 0 and not profile.limited:
            return None
        pods = len(self.registry.serving(request.model)) if profile.requests_per_second_per_replica > 0 else 0
        key, basis = (request.model, profile.name), (profile, total, pods)
        made = self._made.get(key)
        if made is None or made[0] != basis:
            made = self._made[key] = basis, _quotas(request.model, profile, total, pods)
        return made[1]

    def of_all(self) -> dict[tuple[str, str], Quotas]:
        """The quotas of every model and profile that has any; profile "" stands for all of the model's."""
        found: dict[tuple[str, str], Quotas] = {}
        for model in self.registry.models():
            config = self.registry.config(model)
            pods = len(self.registry.serving(model))
            for name, profile in config.profiles.items():
                if profile.limited:
                    found[model, name] = _quotas(model, profile, 0, pods)
            if config.requests_per_second > 0:
                found[model, ""] = _quotas(model, BUILT_IN_PROFILE, config.requests_per_second, pods)
        return found

    def limits(self) -> dict[tuple[str, str], float]:
        """Requests per second that may pass, by model and profile; profile "" stands for all of the model's."""
        found: dict[tuple[str, str], float] = {}
        for model in self.registry.models():
            config = self.registry.config(model)
            for name, profile in config.profiles.items():
                if profile.limited:
                    found[model, name] = _limit(profile, len(self.registry.serving(model)))[2]
            if config.requests_per_second > 0:
                found[model, ""] = config.requests_per_second
        return found


def _quotas(model: str, profile: ConfigProfile, total: int, pods: int) -> Quotas:
    # one hash tag a model: its counts live on one node of a cluster, so that they can be taken in one step
    tag = "{" + model.replace("%", "%25").replace("{", "%7B").replace("}", "%7D") + "}"
    quotas = []
    if profile.limited:
        limit, per, rate = _limit(profile, pods)
        quotas.append(Quota(f"{tag}:profile:{profile.name}", limit, per, _exceeded(model, rate)))
    if total > 0:
        quotas.append(Quota(f"{tag}:model", total, 1.0, _exceeded(model, total)))
    return tuple(quotas)


def _limit(profile: ConfigProfile, pods: int) -> tuple[int, float, float]:
    """Limit, seconds per window, and requests per second as a client may read them."""
    if profile.requests_per_second_per_replica <= 0:
        return profile.requests_per_second, 1.0, profile.requests_per_second
    rate = profile.requests_per_second_per_replica * pods
    if rate + _ROUNDING >= 1:
        return (limit := floor(rate + _ROUNDING)), 1.0, limit
    per = min(ceil(1 / rate - _ROUNDING), _LONGEST_WINDOW) if rate > 0 else _LONGEST_WINDOW
    return 1, float(per), rate


def _exceeded(model: str, rate: float) -> str:
    return f"model: {model} has exceeded RPS: {rate:.6g}"
