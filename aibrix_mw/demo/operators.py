"""Features for operators."""

from aibrix_mw.demo.stage import MODEL
from aibrix_mw.demo.tour import Visitor


async def metrics(visitor: Visitor) -> str:
    """By how much four requests raise the count of requests."""

    async def counted() -> float:
        lines = (await visitor.admin.get("/metrics")).text.splitlines()
        ours = [line for line in lines if line.startswith("aibrix_gateway_requests_total{") and 'outcome="ok"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in ours)

    before = await counted()
    for _ in range(4):
        await visitor.ask()
    return f"+{await counted() - before:g}"


async def status(visitor: Visitor) -> str:
    """The state of gateway and pods, as operators see it."""
    seen = await visitor.status()
    pods = seen["models"][MODEL]["pods"]
    return (
        f"{seen['status']}, {sum(pod['ready'] for pod in pods)} pods, {sum(pod['in_flight'] for pod in pods)} in flight"
    )


async def probes(visitor: Visitor) -> str:
    """Liveness and readiness on both ports."""
    clients = (visitor.gateway, visitor.admin)
    codes = [(await client.get(path)).status_code for client in clients for path in ("/healthz", "/readyz")]
    return " ".join(map(str, codes))
