"""Who can decode for whom: ready pods sorted into groups within which every prefill pod pairs with every decode pod."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.roles import Role, role_of
from aibrix_mw.profiles import parse_config


class Bounds(msgspec.Struct, frozen=True):
    """What a pod's own annotation says of requests for it: serves both legs; estimated prompt tokens, inclusive."""

    combined: bool = False
    shortest: int = 0
    longest: int = 2**63

    def fits(self, tokens: int) -> bool:
        """Whether a prompt of so many tokens is meant for the pod."""
        return self.shortest <= tokens <= self.longest


ANY = Bounds()


@lru_cache(maxsize=4096)
def bounds_of(config: str | None, profile: str) -> Bounds:
    """Bounds by the profile of this name, else by the annotation's default one; those of nobody where it is invalid."""
    if not config:
        return ANY
    try:
        parsed, _ = parse_config(config)
    except ConfigurationError:  # the registry reports it
        return ANY
    options: dict[str, Any] = parsed.select(profile).routing_config
    return Bounds(
        options.get("combined", False),
        options.get("promptLenBucketMinLength", 0),
        options.get("promptLenBucketMaxLength", 2**63),
    )


class Group(msgspec.Struct, frozen=True):
    """Pods of one roleset that can pair; where `bounded`, not for every prompt."""

    roleset: str
    prefills: tuple[Pod, ...]
    decodes: tuple[Pod, ...]
    bounded: bool


class Formation:
    """The pods of one moment by their parts: groups that pair, and those that can serve a request alone.

    `combined` pods do so on purpose; `lone` ones when nobody else can: decode pods of vLLM, and pods without a role.
    `decodes` are the decode pods of every engine. `why` says why there is no group.
    """

    def __init__(self, pods: Sequence[Pod], profile: str) -> None:
        self.profile = profile
        self.combined: list[Pod] = []
        self.decodes: list[Pod] = []
        self.lone: list[Pod] = []
        roles: dict[tuple[str, tuple[str, str]], list[tuple[Role, Pod]]] = {}
        for pod in pods:
            info = pod.info
            if info.config and bounds_of(info.config, profile).combined:
                self.combined.append(pod)
                continue
            role = role_of(info)
            if role is None:
                self.lone.append(pod)
                continue
            roles.setdefault((role.roleset, role.kind), []).append((role, pod))
            if role.name == "decode":
                self.decodes.append(pod)
                if info.engine == "vllm":
                    self.lone.append(pod)
        self.groups = [group for key, members in roles.items() for group in self._groups(key[0], members)]
        self.bounded = any(group.bounded for group in self.groups)
        self.why = "incompatible" if any(map(_complete, roles.values())) else "incomplete"

    def bounds(self, pod: Pod) -> Bounds:
        """What the pod's annotation says."""
        return bounds_of(pod.info.config, self.profile)

    def fitting(self, pods: Sequence[Pod], tokens: int) -> list[Pod]:
        """The pods that are meant for such a prompt."""
        return [pod for pod in pods if self.bounds(pod).fits(tokens)]

    def _groups(self, roleset: str, members: list[tuple[Role, Pod]]) -> list[Group]:
        found = []
        marks = {role.compatibility for role, _ in members}
        named: list[str | None] = [*sorted(mark for mark in marks if mark is not None)]
        for mark in named or [None]:
            legs: dict[str, list[Pod]] = {"prefill": [], "decode": []}
            for role, pod in members:
                if role.compatibility in {None, mark}:
                    legs[role.name].append(pod)
            if legs["prefill"] and legs["decode"]:
                pods = (*legs["prefill"], *legs["decode"])
                bounded = any(self.bounds(pod) != ANY for pod in pods)
                found.append(Group(roleset, tuple(legs["prefill"]), tuple(legs["decode"]), bounded))
        return found


def _complete(members: list[tuple[Role, Pod]]) -> bool:
    return len({role.name for role, _ in members}) > 1
