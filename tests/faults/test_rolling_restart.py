"""F43: two gateways behind a TCP balancer restart in turn under load; nobody notices."""

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.e2e.support import Engine, Gateway, Process
from tests.faults.steady import REQUESTS, Steady

HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
DELAY = 2
CHECK = 0.2
"""Seconds between two questions of the balancer; it believes the second equal answer."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HAPROXY is None, reason="haproxy is a system package: apt-get install haproxy"),
]

BALANCER = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option redispatch
    retries 3
frontend clients
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance roundrobin
    option httpchk GET /readyz
    server a 127.0.0.1:{a} check inter {inter}ms fall 2 rise 1
    server b 127.0.0.1:{b} check inter {inter}ms fall 2 rise 1
"""


class Balancer:
    """Debian's haproxy, TCP, with health checks on /readyz, before two ports that gateways have by turns."""

    def __init__(self, folder: Path, port: int, ports: list[int]) -> None:
        self.port = port
        config = folder / "haproxy.cfg"
        a, b = ports
        text = BALANCER.format(socket=folder / "admin.sock", port=port, a=a, b=b, inter=int(CHECK * 1000))
        config.write_text(text)
        assert HAPROXY is not None
        self.child = subprocess.Popen([HAPROXY, "-db", "-q", "-f", str(config)])

    def end(self) -> None:
        self.child.kill()
        self.child.wait()


class OnPort(Gateway):
    """A gateway on a port that is known before it starts."""

    def __init__(self, folder: Path, port: int, *pods: str) -> None:
        shutdown = {"AIBRIX_MW_SHUTDOWN__DELAY": str(DELAY), "AIBRIX_MW_SHUTDOWN__GRACE": "30"}
        ports = ("--host", "127.0.0.1", "--port", str(port), "--admin-port", "0")
        Process.__init__(self, folder, "serve", *ports, *pods, **shutdown)
        self.port = port
        self.said(r"serving on port (\d+), admin")


async def test_f43_two_gateways_restart_in_turn(tmp_path, unused_tcp_port_factory):
    ports = [unused_tcp_port_factory() for _ in range(3)]
    engines, gateways, balancer = [], [], None
    try:
        engines += [await asyncio.to_thread(Engine, tmp_path, name) for name in ("one", "two")]
        pods = [engine.pod for engine in engines]
        gateways += [await asyncio.to_thread(OnPort, tmp_path, port, *pods) for port in ports[:2]]
        balancer = Balancer(tmp_path, ports[2], ports[:2])
        restarted = asyncio.Event()
        async with httpx.AsyncClient() as http:
            async with asyncio.timeout(20):
                while True:
                    try:
                        if (await http.get(f"http://127.0.0.1:{ports[2]}/readyz")).status_code == 200:
                            break
                    except httpx.HTTPError:
                        await asyncio.sleep(CHECK)
        steady = Steady(f"http://127.0.0.1:{ports[2]}", idle=0.75 * DELAY)
        loading = asyncio.ensure_future(steady.run(restarted))
        for number in (0, 1):
            await asyncio.sleep(3)  # the load is what passes the time
            gateways[number].signal(signal.SIGTERM)
            assert await asyncio.to_thread(gateways[number].ended, 40) == 0
            gateways[number] = await asyncio.to_thread(OnPort, tmp_path, ports[number], *pods)
        restarted.set()
        await loading
    finally:
        for process in [*gateways, *engines]:
            process.end()
        if balancer is not None:
            balancer.end()
    assert set(steady.ends) == {"ok"}, steady.ends
    assert steady.ends["ok"] >= REQUESTS
