"""ModelMiddleware: the body, and which model it names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.middleware.model import ModelMiddleware, _changed
from aibrix_mw.scope import OUTCOME, REQUEST
from tests.support import BODY, CHAT, Client, ask, info, registry_of

FORM_HEADERS = [(b"content-type", b"multipart/form-data; boundary=xyz")]
SPEECH = "/v1/audio/transcriptions"


def field(name, value):
    return b'--xyz\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)


FORM = field(b"language", b"de") + field(b"model", b"gpt-4o") + field(b"file", b"RIFF" * 10) + b"--xyz--\r\n"


class Inner:
    """The application inside: notes what it sees, and answers 200."""

    def __init__(self, read=False):
        self.read = read
        self.scope: Any = None
        self.messages = []

    async def __call__(self, scope, receive, send):
        self.scope = scope
        while self.read and len(self.messages) < 50:
            self.messages.append(await receive())
            if not self.messages[-1].get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})

    @property
    def request(self):
        return REQUEST.get(self.scope)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)


def model_app(inner=None, **options):
    registry = registry_of(info(1), aliases=["gpt-4o"])
    return ModelMiddleware(inner or Inner(), registry=registry, **options)


async def resolved(*args, options=None, **keywords):
    inner = Inner()
    reply = await ask(model_app(inner, **options or {}), *args, **keywords)
    assert reply.status == 200, reply.body
    return inner.request


async def test_what_is_known_of_a_request():
    request = await resolved(headers=[(b"user", b"ann"), (b"content-length", str(len(BODY)).encode())])
    assert (request.model, request.requested_model, request.path) == ("m", "m", CHAT)
    assert request.body is BODY
    assert (request.user, request.length, request.more, request.repeatable) == ("ann", len(BODY), False, True)
    assert request.received > 0
    assert request.header(b"user") == b"ann"


async def test_the_user_header_needs_trust():
    assert (await resolved(headers=[(b"user", b"ann")], options={"trust_user_header": False})).user is None
    assert (await resolved(headers=[(b"user", b"")])).user is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_users_are_called_what_their_record_says(encoding):
    assert (await resolved(headers=[(b"user", "jürgen".encode(encoding))])).user == "jürgen"


async def test_an_alias_changes_only_the_name():
    request = await resolved(b' {"x": {"model": "gpt-4o"} , "model":\t"gpt-4o" }')
    assert (request.model, request.requested_model) == ("m", "gpt-4o")
    assert request.body == b' {"x": {"model": "gpt-4o"} , "model":\t"m" }'


async def test_the_length_follows_the_body():
    body = b'{"model": "gpt-4o"}'
    request = await resolved(body, headers=[(b"content-length", str(len(body)).encode())])
    assert request.length == len(request.body) == len(body) - 5


@given(st.binary(max_size=60), st.integers(1, 5))
async def test_bytes_out_are_bytes_in(noise, size):
    body = b'{"model": "m", "x": %s}' % json.dumps(noise.hex()).encode()
    request = await resolved([body[at : at + size] for at in range(0, len(body), size)])
    assert request.body == body


@pytest.mark.parametrize(("size", "repeatable"), [(len(BODY), True), (len(BODY) - 1, False)])
async def test_f35_large_bodies_are_not_repeatable(size, repeatable):
    assert (await resolved(options={"max_replay_bytes": size})).repeatable == repeatable


async def test_f21_nobody_knows_of_other_paths():
    assert not (await resolved(path="/v1/mine", options={"paths": ["/v1/mine"]})).repeatable


async def test_f11_too_large_by_its_length():
    client = Client(model_app(max_body_bytes=10), headers=[(b"content-length", b"11")])
    reply = await client.ask()
    assert (reply.status, client.received) == (413, 0)
    assert reply.json()["error"]["message"] == "the body is larger than 10 bytes"


async def test_f11_too_large_by_its_bytes():
    client = Client(model_app(max_body_bytes=10), [b"123456", b"7890", b"1", b"never", b"read"])
    reply = await client.ask()
    assert (reply.status, client.received) == (413, 3)
    assert reply.json()["error"]["code"] == "request_too_large"


async def test_exactly_as_large_as_allowed():
    assert (await resolved(options={"max_body_bytes": len(BODY)})).body == BODY


@pytest.mark.parametrize("length", [b"", b"x", b"-1", b"+5", b"1_0", b"9" * 5000])
async def test_a_length_that_is_none(length):
    reply = await ask(model_app(), headers=[(b"content-length", length)])
    assert reply.status == 400


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"zstd", b"gzip, identity"])
async def test_compressed_bodies(encoding):
    client = Client(model_app(), headers=[(b"content-encoding", encoding)])
    reply = await client.ask()
    assert (reply.status, client.received) == (415, 0)


@pytest.mark.parametrize("encodings", [(b"gzip", b"identity"), (b"identity", b"gzip"), (b"", b"br")])
async def test_of_several_encodings_each_counts(encodings):
    reply = await ask(model_app(), headers=[(b"content-encoding", encoding) for encoding in encodings])
    assert reply.status == 415


@pytest.mark.parametrize("encoding", [b"identity", b"Identity", b""])
async def test_identity_is_no_compression(encoding):
    assert (await resolved(headers=[(b"content-encoding", encoding)])).body == BODY


@pytest.mark.parametrize("body", [[BODY[:5]], []])
async def test_the_client_leaves_while_its_body_arrives(body):
    inner = Inner()
    client = Client(model_app(inner), body, ended=False)
    client.gone.set()
    reply = await client.ask()
    assert reply.messages == []
    assert inner.scope is None
    assert OUTCOME.require(client.scope).name == "client_cancelled"


# --- forms


async def test_a_form_in_one_piece():
    request = await resolved(FORM, SPEECH, [*FORM_HEADERS, (b"content-length", str(len(FORM)).encode())])
    assert (request.model, request.requested_model) == ("m", "gpt-4o")
    assert request.body == FORM.replace(b"gpt-4o", b"m")
    assert (request.more, request.repeatable, request.length) == (False, True, len(FORM) - 5)


async def test_parts_after_the_model_are_not_held():
    cut = FORM.index(b"RIFF")
    client = Client(model_app(Inner()), [FORM[:cut], b"never read here"], SPEECH, FORM_HEADERS)
    await client.ask()
    request = REQUEST.require(client.scope)
    assert client.received == 1
    assert request.body == FORM[:cut].replace(b"gpt-4o", b"m")
    assert (request.more, request.repeatable, request.length) == (True, False, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (field(b"x", b"m") + b"--xyz--\r\n", "model is missing"),
        (b"junk", "not a valid form"),
        (b"", "model is missing"),
    ],
)
async def test_a_form_without_a_model(body, message):
    reply = await ask(model_app(), body, SPEECH, FORM_HEADERS)
    assert reply.status == 400
    assert message in reply.json()["error"]["message"]


async def test_transfer_fields_by_permission():
    body = b'{"model": "m", "kv_transfer_params": {"remote_host": "x"}}'
    assert (await ask(model_app(), body)).status == 400
    assert (await resolved(body, options={"allow_transfer_params": True})).body == body


# --- the inner application


@pytest.mark.parametrize("chunks", [[BODY], [BODY[:5], BODY[5:20], BODY[20:]]])
async def test_it_can_read_the_body_again_then_sees_the_disconnect(chunks):
    seen = []

    async def app(scope, receive, send):
        seen.append(await receive())
        client.leave()
        seen.append(await receive())

    client = Client(model_app(app), chunks)
    await client.ask()
    assert seen == [{"type": "http.request", "body": BODY, "more_body": False}, {"type": "http.disconnect"}]


async def test_it_can_read_a_form_to_its_end():
    inner = Inner(read=True)
    cut = FORM.index(b"RIFF")
    await ask(model_app(inner), [FORM[:cut], FORM[cut:]], SPEECH, FORM_HEADERS)
    assert inner.body == FORM


async def test_unknown_models_may_pass():
    inner = Inner(read=True)
    body = b'{"model": "nobody"}'
    assert (await ask(model_app(inner, unknown="pass"), body)).body == b"inner"
    assert (inner.request, inner.body) == (None, body)
    assert (await ask(model_app(unknown="pass"), b"{}")).status == 400
    reply = await ask(model_app(), body)
    assert (reply.status, reply.header("x-error-no-model-backends")) == (404, b"nobody")


@pytest.mark.parametrize("scope", [{"method": "GET"}, {"path": "/v1/models"}, {"path": CHAT + "/x"}])
async def test_everything_else_passes_untouched(scope):
    inner = Inner()
    client = Client(model_app(inner))
    client.scope |= scope
    assert (await client.ask()).body == b"inner"
    assert client.received == 0
    assert not [key for key in inner.scope if key.startswith("aibrix_mw")]


def test_a_body_too_deep_to_be_changed_is_refused():
    with pytest.raises(InvalidRequest, match="not valid JSON: maximum recursion depth exceeded"):
        _changed(b'{"a": ' + b"[" * 100_000, "m", "", None)
