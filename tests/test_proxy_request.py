"""What an engine gets, through the whole stack."""

import pytest

from aibrix_mw.paths import INFERENCE_PATHS
from tests.support import BODY, CHAT, Client, Running, info

FORM_HEADERS = [(b"content-type", b"multipart/form-data; boundary=xyz")]
SPEECH = "/v1/audio/transcriptions"
MODEL_PART = b'--xyz\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--xyz\r\n'
FILE_PART = b'content-disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n--xyz--\r\n'


@pytest.mark.parametrize("path", sorted(INFERENCE_PATHS))
async def test_every_inference_path_is_forwarded(path):
    async with Running() as running:
        assert (await running.ask(path=path, query_string=b"a=1&b=%20")).status == 200
    assert running.upstream.requests[0].target == path.encode() + b"?a=1&b=%20"


async def test_the_request_to_the_engine():
    headers = [
        (b"host", b"gw.example"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BODY)).encode()),
        (b"x-b", b"2"),
        (b"routing-strategy", b"random"),
        (b"target-pod", b"169.254.169.254"),
        (b"connection", b"keep-alive, x-hop"),
        (b"x-hop", b"1"),
        (b"expect", b"100-continue"),
        (b"x-a", b"1"),
        (b"x-request-id", b"mine"),
    ]
    async with Running(pods=[info(7)]) as running:
        reply = await running.ask(headers=headers)
    (request,) = running.upstream.requests
    assert (request.address.netloc, request.host) == ("10.0.0.7:8000", b"10.0.0.7:8000")
    assert (request.target, request.body, request.rest, request.reuse) == (CHAT.encode(), BODY, None, True)
    assert request.headers == [
        (b"content-type", b"application/json"),
        (b"x-b", b"2"),
        (b"x-a", b"1"),
        (b"x-request-id", b"mine"),
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"gw.example"),
    ]
    assert reply.header("x-request-id") == b"mine"


@pytest.mark.parametrize(
    "forged",
    ["127.0.0.1:80", "169.254.169.254", "10.9.9.9:8000", "localhost", "[::1]:80", "pod-2", "http://x", ""],
)
async def test_f67_a_client_cannot_name_the_target(forged):
    headers = [(name, forged.encode()) for name in (b"target-pod", b"target-pod-ip", b"Target-Pod".lower())]
    async with Running(pods=[info(1), info(2, excluded="not_ready")]) as running:
        reply = await running.ask(headers=headers)
    assert running.upstream.hosts == ["10.0.0.1"]
    assert not [name for name, _ in running.upstream.requests[0].headers if name.startswith(b"target-pod")]
    assert reply.header("target-pod") == b"pod-1"


async def test_an_alias_reaches_the_engine_as_the_model():
    async with Running(models={"m": {"aliases": ["gpt-4o"]}}) as running:
        await running.ask(b'{ "model" :  "gpt-4o" }')
    assert running.upstream.bodies == [b'{ "model" :  "m" }']


async def test_the_rest_of_a_form_streams_through():
    async with Running() as running:
        reply = await running.ask([MODEL_PART, FILE_PART[:9], FILE_PART[9:]], SPEECH, FORM_HEADERS)
    (request,) = running.upstream.requests
    assert reply.status == 200
    assert request.body == MODEL_PART
    assert (request.length, request.reuse) == (None, False)
    assert running.upstream.bodies == [MODEL_PART + FILE_PART]


async def test_a_second_model_in_the_rest_of_a_form_is_refused():
    second = b'content-disposition: form-data; name="model"\r\n\r\nother\r\n--xyz--\r\n'
    async with Running() as running:
        reply = await running.ask([MODEL_PART, second[:20], second[20:]], SPEECH, FORM_HEADERS)
        assert (reply.status, reply.json()["error"]["param"]) == (400, "model")
        assert running.upstream.aborted == 1
        assert await running.outcomes() == {("m", "default", "400", "bad_request"): 1}
        assert running.in_flight == [0, 0]


async def test_f11_the_rest_of_a_form_is_bounded():
    client_chunks = [MODEL_PART, b"x" * 50, b"x" * 50, b"never read"]
    async with Running(limits={"max_body_bytes": len(MODEL_PART) + 60}) as running:
        client = Client(running.gateway, client_chunks, SPEECH, FORM_HEADERS)
        reply = await client.ask()
        assert (reply.status, client.received) == (413, 3)
        assert running.upstream.aborted == 1
        assert await running.outcomes() == {("m", "default", "413", "bad_request"): 1}
        assert running.in_flight == [0, 0]
