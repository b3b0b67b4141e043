"""Features of the tour: one pod computes the prompt, the other one the answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aibrix_mw.demo.stage import ZONES, pods_text
from aibrix_mw.demo.tour import Visitor

PREFILL, DECODE = ZONES
_PD = {"routing-strategy": "pd"}


@asynccontextmanager
async def _roles(visitor: Visitor) -> AsyncIterator[str]:
    """Give the pods a role each, as long as the block runs; says which pods serve together."""

    async def together() -> str:
        headers = (await visitor.ask(_PD)).headers
        return f"{headers.get('prefill-target-pod')} > {headers['target-pod']}"

    text = pods_text(visitor.stage.engines, roles={PREFILL: "prefill", DECODE: "decode"})
    with visitor.edited(visitor.stage.pods_file, text):
        yield str(await visitor.eventually(f"{PREFILL} > {DECODE}", together))


async def disaggregated(visitor: Visitor) -> str:
    """Which pods serve a request together, and by how much it raises the transfers that the decode engine has made."""
    async with _roles(visitor) as together:
        before = (await visitor.engine(DECODE))["transfers"]["fetched"]
        await visitor.ask(_PD)
        fetched = (await visitor.engine(DECODE))["transfers"]["fetched"] - before
    return f"{together}, {fetched} transfer"


async def serves_alone(visitor: Visitor) -> str:
    """What the answer says when the prefill engine fails."""
    async with _roles(visitor), visitor.broken(PREFILL, "error"):
        answer = await visitor.ask(_PD)
    return f"{answer.status_code} from {answer.headers['target-pod']}, {answer.headers.get('x-aibrix-pd')}"
