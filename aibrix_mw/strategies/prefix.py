"""What strategies that look at prompts share: blocks, the table of who holds them, the gate against imbalance."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self

import xxhash
from msgspec import Meta

from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, least_in_flight
from aibrix_mw.strategies.prefix_table import PrefixTable, chain

Depths = Mapping[str, int]
"""How many leading blocks of the prompt each pod holds, by uid."""

_Count = Annotated[int, Meta(ge=1)]
_in_flight = attrgetter("in_flight")


class PrefixScorer(Scorer):
    """Knows which pod was sent which prompt.

    The prompt is the raw bytes of `tools` and of `messages`, `prompt` or `input`, in blocks of `blockBytes` (128), at
    most `maxBlocks` (1024). When in_flight differs by more than `imbalance` (16), the pods with the fewest decide.
    Prompts shorter than a block go to least-request.
    """

    option_types: ClassVar[Mapping[str, Any]] = {
        "blockBytes": _Count,
        "maxBlocks": _Count,
        "imbalance": Annotated[int, Meta(ge=0)],
    }

    def set_up(self) -> None:
        """Options, and an empty table."""
        self.block_bytes: int = self.options.get("blockBytes", 128)
        self.max_blocks: int = self.options.get("maxBlocks", 1024)
        self.imbalance: int = self.options.get("imbalance", 16)
        self.table = PrefixTable()

    def rehearsal(self) -> Self:
        """A twin that reads the same table; a copy of it would take long."""
        return self.twin()

    def among(
        self, request: InferenceRequest, pods: Pods, loads: Sequence[int], hashes: Sequence[int], depths: Depths
    ) -> Pod:
        """Choose among at least two pods, whose in_flight are `loads`, for a prompt of at least one block."""
        raise NotImplementedError

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The pod, with the share of the prompt that it holds."""
        hashes = self.blocks(request, pods)
        if not hashes:
            return self.chosen(request, least_in_flight(pods, self.rng), fallback="short_prompt")
        depths = self.table.match(hashes, self.clock())
        loads = list(map(_in_flight, pods))
        if len(pods) == 1:
            pod = pods[0]
        elif max(loads) - min(loads) > self.imbalance:
            pod = least_in_flight(pods, self.rng)
        else:
            pod = self.among(request, pods, loads, hashes, depths)
        return self.note(request, pod, hashes, depths)

    def note(self, request: InferenceRequest, pod: Pod, hashes: Sequence[int], depths: Depths) -> Target:
        """Remember where the prompt went, also when nobody had a choice."""
        if not self.rehearsing:
            self.table.insert(hashes, pod.uid, self.clock())
        return Target(pod, match=depths.get(pod.uid, 0) / len(hashes))

    def chosen(self, request: InferenceRequest, pod: Pod, /, fallback: str | None = None) -> Target:
        """Remember a choice that others have made."""
        hashes = self.blocks(request, (pod,))
        if not hashes:
            return Target(pod, fallback=fallback)
        return self.note(request, pod, hashes, self.table.match(hashes, self.clock()))

    def forget(self, pod: Pod, /) -> None:
        """Its cache has gone with it."""
        self.table.forget(pod.uid, self.clock())

    def blocks(self, request: InferenceRequest, pods: Pods) -> list[int]:
        """Chained hashes of the prompt's whole blocks; of another model, adapter or tenant they are others."""
        name = request.requested_model
        adapter = name if name != request.model and name in pods[0].info.adapters else ""
        return chain(request.prompt, _seed(request.model, adapter, request.tenant), self.block_bytes, self.max_blocks)


@lru_cache(maxsize=65536)
def _seed(model: str, adapter: str, tenant: str) -> int:
    name = f"{model}\0{adapter}"
    return xxhash.xxh64_intdigest(f"{name}\0{tenant}".encode() if tenant else name.encode())
