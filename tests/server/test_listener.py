"""A port that is listened on: real sockets on both sides."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.server import Listener
from aibrix_mw.server.bounds import Bounds
from tests.server.wire import BODY, GET, POST, Held, echo, get, read_all, start, whole

PATIENCE = 10
LARGE = 5_000_000
CLOSING = GET.replace(b"host: a", b"connection: close")


@asynccontextmanager
async def serving(app, **options):
    """A listener on a free port, aborted at the end."""
    listener = Listener(app, "127.0.0.1", 0, **options)
    await listener.open()
    try:
        yield listener
    finally:
        listener.close()
        listener.abort()
        await asyncio.wait_for(listener.finished(), PATIENCE)


@asynccontextmanager
async def connected(listener, data=b"", **options):
    """A client's connection on which these bytes have been sent."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, **options)
        writer.write(data)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def all_of(listener, data):
    """What is answered to these bytes, up to the end."""
    async with connected(listener, data) as (reader, _writer):
        return await reader.read()


async def test_one_segment_for_a_whole_answer():
    async with serving(whole(b"hello")) as listener, connected(listener, GET * 2) as (reader, _writer):
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
        assert await reader.readexactly(2 * len(answer)) == answer * 2


async def test_requests_in_order_in_one_segment_and_byte_by_byte():
    request = POST + b"foobar" + get(b"/1") + CLOSING
    async with serving(echo) as listener:
        together = await all_of(listener, request)
        assert together.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert together.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")
        async with connected(listener) as (reader, writer):
            for byte in request:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            assert await reader.read() == together


async def test_a_request_that_nobody_has_read_yet_is_answered_before_the_end():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with (
        serving(echo) as listener,
        connected(listener, GET) as (reader, writer),
        connected(listener, GET) as idle,
    ):
        assert await reader.readexactly(len(answer)) == await idle[0].readexactly(len(answer)) == answer
        os.write(writer.get_extra_info("socket").fileno(), GET)  # within one turn of the loop
        listener.close()
        assert await reader.read() == answer[:-2] + b"connection: close\r\n\r\n"
        assert await idle[0].read() == b""


async def test_an_empty_line_that_nobody_has_read_is_no_request():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with serving(echo) as listener, connected(listener, GET) as (reader, writer):
        assert await reader.readexactly(len(answer)) == answer
        os.write(writer.get_extra_info("socket").fileno(), b"\r\n")  # within one turn of the loop
        listener.close()
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_more_than_any_buffer_both_ways():
    async with serving(echo) as listener, connected(listener) as (reader, writer):
        for _ in range(2):
            writer.write(POST.replace(b" 6\r", b" %d\r" % LARGE) + b"x" * LARGE)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE
            assert await reader.readexactly(LARGE) == b"x" * LARGE


async def test_the_application_waits_for_a_slow_client():
    sent = []

    async def app(_scope, _receive, send):
        await send(start())
        for number in range(1000):
            await send({"type": BODY, "body": bytes(65536), "more_body": True})
            sent.append(number)
        await send({"type": BODY})

    async with serving(app) as listener, connected(listener, CLOSING) as (reader, _writer):
        await reader.readexactly(1)
        assert len(sent) < 500
        assert (await reader.read()).endswith(b"\r\n0\r\n\r\n")
        assert len(sent) == 1000


async def test_the_client_is_seen_leaving_behind_a_large_body():
    arrived, left = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, _send):
        await read_all(receive)
        scope["extensions"]["aibrix_mw.on_disconnect"](left.set)
        arrived.set()
        await left.wait()

    request = POST.replace(b" 6\r", b" 200000\r") + bytes(200_000)
    async with serving(app) as listener, connected(listener, request) as (_reader, writer):
        await arrived.wait()
        writer.close()
        await left.wait()
        await listener.finished()
        assert listener.server_state.tasks == set()


async def test_a_malformed_request():
    async with serving(echo) as listener:
        assert (await all_of(listener, b"\0")).startswith(b"HTTP/1.1 400 Bad Request\r\n")


# --- the end


async def test_closing_ends_what_is_idle_and_lets_the_rest_be_answered():
    async with serving(app := Held()) as listener:
        async with connected(listener, get(b"/1")) as (busy, _), connected(listener) as (idle, _):
            await busy.readuntil(b"\r\n\r\n")
            assert len(listener.server_state.connections) == 2
            port = listener.port
            listener.close()
            assert await idle.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            app.gates["/1"].set()
            assert await busy.read() == b"0\r\n\r\n"
        await listener.finished()


async def test_aborting_ends_what_is_busy():
    async with serving(app := Held()) as listener, connected(listener, get(b"/1")) as (busy, _):
        await busy.readuntil(b"\r\n\r\n")
        listener.abort()
        assert await busy.read() == b""
        await listener.finished()
        app.gates["/1"].set()


async def test_aborting_does_not_wait_for_who_does_not_read():
    async def app(_scope, _receive, send):
        await send(start())
        for _ in range(100):
            await send({"type": BODY, "body": bytes(1_000_000), "more_body": True})

    async with serving(app) as listener, connected(listener, GET) as (reader, writer):
        await reader.readexactly(1)
        writer.transport.pause_reading()
        listener.abort()
        await listener.finished()


async def test_who_does_not_begin_tls_is_closed_in_time(certificate):
    options = dict(zip(("ssl_certfile", "ssl_keyfile"), map(str, certificate), strict=True))
    bounds = Bounds(header_timeout=0.2)
    async with serving(echo, bounds=bounds, **options) as listener, connected(listener) as (reader, _writer):
        assert await reader.read() == b""


# --- what cannot be listened on


async def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = Listener(echo, "127.0.0.1", taken.getsockname()[1], "listen.admin_port")
        with pytest.raises(ConfigurationError, match=r"listen\.admin_port: cannot listen: .*in use"):
            await listener.open()
        listener.close()


async def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "cert").write_text("none")
    for cert, key in (("cert", "cert"), ("none", "cert")):
        listener = Listener(echo, "127.0.0.1", 0, ssl_certfile=str(tmp_path / cert), ssl_keyfile=str(tmp_path / key))
        with pytest.raises(ConfigurationError, match=r"listen\.tls_cert_file: cannot be used with"):
            await listener.open()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway"
    san = "subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-addext", san, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_tls(certificate):
    cert, key = certificate
    schemes = []

    async def app(scope, receive, send):
        schemes.append(scope["scheme"])
        await echo(scope, receive, send)

    async with serving(app, ssl_certfile=str(cert), ssl_keyfile=str(key)) as listener:
        options = {"ssl": ssl.create_default_context(cafile=str(cert)), "server_hostname": "127.0.0.1"}
        async with connected(listener, POST + b"foobar" + CLOSING, **options) as (reader, _writer):
            assert (await reader.read()).count(b"HTTP/1.1 200 OK\r\n") == 2
    assert schemes == ["https"] * 2
