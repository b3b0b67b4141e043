"""What a connector is: the members of both legs' bodies that make one pod fetch what the other has computed."""

from collections.abc import Mapping
from functools import cache, cached_property
from importlib import import_module
from random import Random
from typing import ClassVar

from aibrix_mw.connectors import TABLE
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.splice import Edits

ONE_TOKEN: Edits = {
    "max_tokens": b"1",
    "max_completion_tokens": b"1",
    "stream": b"false",
    "stream_options": None,
    "min_tokens": None,
}
"""What makes a request end with its prefill."""


class BadTransfer(Exception):
    """A prefill pod's answer cannot be handed on."""


class NothingToTransfer(BadTransfer):
    """The prefill pod has answered, and keeps nothing for a decode pod: the answer ended with its first token."""


class Connector:
    """One way of handing over; it keeps nothing of a request."""

    together: ClassVar[bool] = False
    """Both legs are sent at once: the pods find each other."""

    keys: ClassVar[frozenset[str]]
    """Further members of the bodies that it sets."""

    @cached_property
    def controlled(self) -> frozenset[str]:
        """All members that a client must not give twice."""
        return self.keys.union(ONE_TOKEN)

    def to_prefill(self, prefill: PodInfo, rng: Random) -> Edits:
        """What to change in the body for the prefill pod, ONE_TOKEN included."""
        raise NotImplementedError

    def to_decode(self, prefill: PodInfo, sent: Edits, answer: bytes) -> Edits:
        """What to change in the client's body for the decode pod.

        `sent` is what `to_prefill` said, `answer` the prefill pod's body (empty when both are sent at once).
        BadTransfer when that does not tell where the KV cache is.
        """
        raise NotImplementedError


@cache
def connector(name: str) -> Connector:
    """The connector of that name; what is not in the table speaks as vLLM's own do."""
    module, _, kind = TABLE.get(name, TABLE["nixl"]).partition(":")
    made: Connector = getattr(import_module(module), kind)()
    return made


def as_edits(members: Mapping[str, bytes]) -> Edits:
    """Members of a prefill body: those, and the end after one token."""
    return {**ONE_TOKEN, **members}
