"""KV caches on their way to another engine, by the protocol of vLLM's `kv_transfer_params`.

A request with `do_remote_decode` is told where its blocks are; one with `do_remote_prefill` fetches blocks from the
engine that it names, over HTTP, before it runs. Only what that engine has announced is handed over, once, and only to
who names the same blocks: a request that cannot fetch is answered 500, as vLLM does by default. Unlike there, it takes
no time, and announced blocks take no room.
"""

import asyncio
from contextlib import suppress

import msgspec
from starlette.types import Scope

from aibrix_mw.engine.refusals import ApiError

PATH = "/sim/transfers"
_KEPT = 1024
_PATIENCE = 2.0  # seconds until another engine counts as gone
_LARGEST = 65536


class KvTransferParams(msgspec.Struct, kw_only=True):
    """What the two engines tell each other through the gateway."""

    do_remote_decode: bool = False
    do_remote_prefill: bool = False
    remote_engine_id: str | None = None
    remote_request_id: str | None = None
    remote_block_ids: list[list[int]] | None = None
    remote_host: str | None = None
    remote_port: int | None = None
    remote_num_tokens: int | None = None


class Fetch(msgspec.Struct):
    """Body of `POST /sim/transfers`: which blocks of which request somebody wants."""

    engine_id: str
    request_id: str
    block_ids: list[list[int]]


class Transfers:
    """What one engine has announced, and what it fetches from others."""

    def __init__(self, engine_id: str) -> None:
        self.engine_id = engine_id
        self.announced: dict[str, KvTransferParams] = {}
        self.given = 0
        self.fetched = 0
        self._next_block = 1

    def announce(self, request_id: str, tokens: int, blocks: int, scope: Scope) -> KvTransferParams:
        """Say where the blocks of a request are: at the address at which the request came in."""
        host, port = scope.get("server") or (None, None)
        ids = list(range(self._next_block, self._next_block + blocks))
        self._next_block += blocks
        params = KvTransferParams(
            do_remote_prefill=True,
            remote_engine_id=self.engine_id,
            remote_request_id=request_id,
            remote_block_ids=[ids],
            remote_host=host,
            remote_port=port,
            remote_num_tokens=tokens,
        )
        if len(self.announced) >= _KEPT:
            del self.announced[next(iter(self.announced))]
        self.announced[request_id] = params
        return params

    def give(self, wanted: Fetch) -> int:
        """Hand over what was announced, and forget it; gives its tokens. 404 for anything else."""
        params = self.announced.get(wanted.request_id)
        same = params is not None and wanted.engine_id == self.engine_id and wanted.block_ids == params.remote_block_ids
        if params is None or not same:
            raise ApiError(404, "No such blocks were announced.", type="NotFoundError")
        del self.announced[wanted.request_id]
        self.given += 1
        return params.remote_num_tokens or 0

    async def fetch(self, params: KvTransferParams) -> int:
        """Get the blocks from the engine that has them; gives their tokens. 500 when it does not hand them over."""
        tokens = None
        if params.remote_host and params.remote_port and params.remote_engine_id and params.remote_request_id:
            wanted = Fetch(params.remote_engine_id, params.remote_request_id, params.remote_block_ids or [])
            with suppress(OSError, TimeoutError, ValueError, IndexError):
                async with asyncio.timeout(_PATIENCE):
                    tokens = await _ask(params.remote_host, params.remote_port, wanted)
        if tokens is None:
            raise ApiError(500, "The KV cache could not be loaded from the prefill engine.", type="InternalServerError")
        self.fetched += 1
        return tokens


async def _ask(host: str, port: int, wanted: Fetch) -> int | None:
    """Ask over HTTP/1.1 for a transfer; None when it is refused. `OSError` and `ValueError` for what is no answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        body = msgspec.json.encode(wanted)
        head = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read(_LARGEST)
        while answer and (more := await reader.read(_LARGEST)):
            answer += more
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head_text, _, payload = answer.partition(b"\r\n\r\n")
    if head_text.split(b" ", 2)[1] != b"200":
        return None
    tokens: int = msgspec.json.decode(payload, type=dict[str, int])["tokens"]
    return tokens
