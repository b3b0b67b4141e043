"""vLLM's `kv_transfer_params`: the prefill pod says where its blocks are, the decode pod fetches them."""

from random import Random

import msgspec

from aibrix_mw.connectors.base import BadTransfer, Connector, NothingToTransfer, as_edits
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.splice import Edits, JsonObject

_ANNOUNCE = (
    b'{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,'
    b'"remote_block_ids":null,"remote_host":null,"remote_port":null}'
)


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _PrefillAnswer(msgspec.Struct):
    kv_transfer_params: msgspec.Raw = msgspec.Raw()
    choices: list[_Choice] = []


class _Params(msgspec.Struct):
    remote_host: str | None = None


_read_answer = msgspec.json.Decoder(_PrefillAnswer).decode
_read_params = msgspec.json.Decoder(_Params).decode
_TO_PREFILL = as_edits({"kv_transfer_params": _ANNOUNCE})


class KvTransfer(Connector):
    """The protocol of vLLM's connectors (NIXL, Mooncake, shared file systems)."""

    keys = frozenset({"kv_transfer_params"})

    def to_prefill(self, prefill: PodInfo, rng: Random) -> Edits:
        """Say that somebody else will decode."""
        return _TO_PREFILL

    def to_decode(self, prefill: PodInfo, sent: Edits, answer: bytes) -> Edits:
        """Hand on the pod's word as it came, with its address where it does not say one."""
        try:
            told = _read_answer(answer)
            params = bytes(told.kv_transfer_params)
            if params in {b"", b"null"}:
                raise _nothing(told)
            host = _read_params(params).remote_host
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadTransfer(f"kv_transfer_params: {error}") from None
        if not host and prefill.address is not None:
            params = _with_host(params, prefill.address.host)
        return {"kv_transfer_params": params}


def _nothing(told: _PrefillAnswer) -> BadTransfer:
    if any(choice.finish_reason == "stop" for choice in told.choices):
        return NothingToTransfer("the answer ended with its first token")
    return BadTransfer("there are no kv_transfer_params in the answer")


def _with_host(params: bytes, host: str) -> bytes:
    value = msgspec.json.encode(host)
    if not msgspec.json.decode(params):
        return b'{"remote_host":%b}' % value
    return JsonObject(params).edited({"remote_host": value})
