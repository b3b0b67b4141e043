"""TensorRT-LLM's `disaggregated_params`: the context pod's answer carries what the generation pod needs."""

from random import Random

import msgspec

from aibrix_mw.connectors.base import BadTransfer, Connector, as_edits
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.splice import Edits, JsonObject

_CONTEXT = b'{"request_type":"context_only"}'
_GENERATION = b'"generation_only"'


class _Choice(msgspec.Struct):
    disaggregated_params: msgspec.Raw = msgspec.Raw()


class _ContextAnswer(msgspec.Struct):
    disaggregated_params: msgspec.Raw = msgspec.Raw()
    choices: list[_Choice] = []


_read_answer = msgspec.json.Decoder(_ContextAnswer).decode
_TO_PREFILL: Edits = {**as_edits({"disaggregated_params": _CONTEXT}), "max_completion_tokens": None}


class Trtllm(Connector):
    """It refuses members that it does not know, and `max_completion_tokens` beside `max_tokens` is one."""

    keys = frozenset({"disaggregated_params"})

    def to_prefill(self, prefill: PodInfo, rng: Random) -> Edits:
        """Ask for the context phase."""
        return _TO_PREFILL

    def to_decode(self, prefill: PodInfo, sent: Edits, answer: bytes) -> Edits:
        """What the context pod says, for the generation phase; it stands in the answer or in its first choice."""
        try:
            told = _read_answer(answer)
            places = [told.disaggregated_params, *(choice.disaggregated_params for choice in told.choices[:1])]
            params = next((text for place in places if (text := bytes(place)) not in {b"", b"null"}), None)
            if params is None or not msgspec.json.decode(params, type=dict[str, msgspec.Raw]):
                raise BadTransfer("there are no disaggregated_params in the answer")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadTransfer(f"disaggregated_params: {error}") from None
        return {"disaggregated_params": JsonObject(params).edited({"request_type": _GENERATION})}
