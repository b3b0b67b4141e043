"""What pods are, as a watch tells it: against a small API server, and a real one where there is one."""

from aibrix_mw.pods.manifest import ADAPTERS, NAME, PORT
from tests.support import until


async def test_pods_come_and_go(cluster, discover):
    await cluster.pod("before")
    seen = await discover(cluster)
    assert seen.serving() == ["before"]
    await cluster.pod("after", ip="127.0.0.2", port="9000")
    await seen.sees("after", "before")
    after = next(pod for pod in seen.registry.serving("m") if pod.info.name == "after")
    assert after.address.netloc == "127.0.0.2:9000"
    await cluster.remove("before")
    await seen.sees("after")
    assert seen.known() == {"after": None}
