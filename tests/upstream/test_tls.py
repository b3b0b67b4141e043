"""Engines that want TLS, and perhaps a certificate of ours: reached through httpx."""

import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.httpx import HttpxUpstream
from aibrix_mw.upstream.schemes import SchemeUpstream
from tests.upstream.asking import CHUNKED, OK, fetch
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import RawEngine, answering

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=engine"
    san = "subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-addext", san, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


def over(context: ssl.SSLContext) -> HttpxUpstream:
    return HttpxUpstream(httpx.AsyncHTTPTransport(verify=context))


async def test_over_tls(run: Engines, serving: ssl.SSLContext, trusting: ssl.SSLContext):
    engine = await run(answering(OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n"), tls=serving)
    upstream = over(trusting)
    for _ in range(2):
        assert (await fetch(upstream, engine))[1] == b"ok"
    assert [len(requests) for requests in engine.requests] == [2]
    await upstream.aclose()


async def test_with_a_certificate_of_ours(
    run: Engines, serving: ssl.SSLContext, trusting: ssl.SSLContext, certificate: tuple[Path, Path]
):
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_verify_locations(certificate[0])
    trusting.load_cert_chain(*certificate)
    engine = await run(answering(OK), tls=serving)
    upstream = over(trusting)
    assert (await fetch(upstream, engine))[1] == b"ok"
    await upstream.aclose()


async def expect_no_connection(upstream: Upstream, engine: RawEngine) -> None:
    with pytest.raises(UpstreamError) as caught:
        await fetch(upstream, engine)
    assert caught.value.reason == "connect"
    assert not any(engine.requests)
    await upstream.aclose()


async def test_a_stranger_is_not_trusted(run: Engines, serving: ssl.SSLContext):
    await expect_no_connection(HttpxUpstream(), await run(answering(OK), tls=serving))


async def test_the_scheme_of_the_address_chooses_the_client(run: Engines, serving: ssl.SSLContext):
    plain, secret = await run(answering(OK)), await run(answering(OK), tls=serving)
    upstream = SchemeUpstream(Http1Upstream())
    assert (await fetch(upstream, plain))[1] == b"ok"
    with pytest.raises(UpstreamError):
        await fetch(upstream, secret)
    await expect_no_connection(upstream, secret)


async def test_without_tls_there_is_one_client(run: Engines):
    upstream = SchemeUpstream(Http1Upstream())
    assert (await fetch(upstream, await run(answering(OK))))[1] == b"ok"
    await upstream.aclose()
