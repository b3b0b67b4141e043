"""AuthMiddleware and AllowanceMiddleware (F70), alone and in the whole stack."""

import logging
from typing import Any

import pytest

from aibrix_mw.keys import Key, KeyRing, hash_of
from aibrix_mw.middleware.auth import AllowanceMiddleware, AuthMiddleware
from aibrix_mw.profiles import BUILT_IN
from aibrix_mw.scope import KEY, PROFILE, REQUEST
from tests.support import CHAT, Running, ask, ask_for, info, registry_of

SECRET = "sk-canary-1"
HOST = [(b"host", b"gateway")]
KEYS = KeyRing([(hash_of(SECRET), Key("al", "team"))])


class Inner:
    """What is inside: notes the scope and answers."""

    def __init__(self):
        self.scope = {}

    async def __call__(self, scope, receive, send):
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})


def bearer(secret, scheme="Bearer"):
    return [(b"authorization", f"{scheme} {secret}".encode())]


def api_key(secret):
    return [(b"x-api-key", secret.encode())]


@pytest.mark.parametrize(
    "headers",
    [
        bearer(SECRET),
        bearer(SECRET, "bearer"),
        bearer(SECRET, "Bearer "),
        api_key(SECRET),
        bearer("other", "Basic") + api_key(SECRET),
        bearer("other") + api_key(SECRET),
    ],
)
async def test_a_good_key_is_consumed(headers):
    inner = Inner()
    app = AuthMiddleware(inner, keys=KEYS)
    reply = await ask(app, headers=[(b"host", b"h"), *headers, (b"accept", b"*/*")])
    assert reply.status == 200
    assert KEY.require(inner.scope).name == "al"
    assert inner.scope["headers"] == [(b"host", b"h"), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        bearer(""),
        bearer("sk-other"),
        bearer(SECRET, "Basic"),
        [(b"authorization", SECRET.encode())],
        [(b"authorization", b"Bearer")],
        api_key(""),
        api_key(SECRET + " "),
        api_key(hash_of(SECRET)),
        [(b"x-api-key", b"\xff\x00")],
        [(b"x_api_key", SECRET.encode())],
    ],
)
async def test_anything_else_is_401(headers):
    inner = Inner()
    reply = await ask(AuthMiddleware(inner, keys=KEYS), headers=headers)
    assert (reply.status, inner.scope) == (401, {})
    assert reply.header("www-authenticate") == b"Bearer"
    message = "Incorrect API key provided"
    assert reply.json() == {"error": {"message": message, "type": "authentication_error", "code": "invalid_api_key"}}


@pytest.mark.parametrize(
    ("method", "path", "guarded"),
    [
        ("POST", CHAT, True),
        ("GET", "/v1/models", True),
        ("HEAD", "/v1/models/a/b", True),
        ("GET", "/v1/modelsx", False),
        ("GET", "/healthz", False),
        ("GET", CHAT, False),
        ("OPTIONS", CHAT, False),
        ("POST", "/own", False),
    ],
)
async def test_what_is_guarded(method, path, guarded):
    reply = await ask(AuthMiddleware(Inner(), keys=KEYS), path=path, method=method)
    assert reply.status == (401 if guarded else 200)


async def test_the_engines_key_takes_the_place_of_the_clients():
    inner, key = Inner(), [b"one"]
    app = AuthMiddleware(inner, keys=KEYS, engine_key=lambda: key[0])
    for key[0] in (b"one", b"two"):
        await ask(app, headers=[*api_key(SECRET), (b"accept", b"*/*")])
        assert inner.scope["headers"] == [*HOST, (b"accept", b"*/*"), (b"authorization", b"Bearer " + key[0])]


async def test_an_engine_key_without_keys_asks_nobody():
    inner = Inner()
    await ask(AuthMiddleware(inner, keys=None, engine_key=lambda: b"e"), headers=bearer("any"))
    assert inner.scope["headers"] == [*HOST, (b"authorization", b"Bearer e")]
    assert KEY.get(inner.scope) is None


async def test_allowance_needs_a_key_and_a_profile():
    app = AllowanceMiddleware(Inner(), registry=registry_of(info()))
    with pytest.raises(LookupError, match="ModelMiddleware"):
        await ask(app)
    with pytest.raises(LookupError, match="AuthMiddleware"):
        await ask(app, **{REQUEST.key: object()})
    assert (await ask(app, path="/own")).status == 200


async def test_an_adapter_whose_name_is_rewritten_must_be_named_itself():
    registry = registry_of(info(1, "ns/m", prefix="ns/", adapters=("ns/sql",)))
    allowed = AllowanceMiddleware(Inner(), registry=registry)
    for name, status in (("ns/m", 200), ("ns/sql", 403)):
        slots = {
            REQUEST.key: ask_for(b'{"model": "%s"}' % name.encode()),
            KEY.key: Key("al", "team", models=frozenset({"ns/m"})),
            PROFILE.key: BUILT_IN.select(),
        }
        assert (await ask(allowed, **slots)).status == status


# --- the whole stack

CONFIG = {"defaultProfile": "a", "profiles": {"a": {}, "b": {}}}
USERS = """
- {name: all, sha256: %s}
- {name: few, sha256: %s, models: [m], profiles: [a]}
- {name: sql, sha256: %s, models: [m-sql, gpt]}
""" % tuple(map(hash_of, ("sk-all", "sk-few", "sk-sql")))  # noqa: UP031


@pytest.fixture
def running(tmp_path):
    (tmp_path / "keys.yaml").write_text(USERS)
    (tmp_path / "engine").write_text("engine-key\n")
    auth = {"keys_file": str(tmp_path / "keys.yaml"), "engine_key_file": str(tmp_path / "engine")}
    models = {"m": {"config": CONFIG, "aliases": ["gpt"]}}
    return Running(pods=[info(1, adapters=("m-sql",))], models=models, auth=auth)


def body(model):
    return f'{{"model": "{model}"}}'.encode()


ASKED = [
    ("all", "m", "a", 200),
    ("all", "m-sql", "b", 200),
    ("few", "m", "a", 200),
    ("few", "gpt", "a", 200),
    ("few", "m-sql", "a", 403),
    ("few", "m", "b", 403),
    ("sql", "m-sql", "b", 200),
    ("sql", "gpt", "a", 200),
    ("sql", "m", "a", 403),
    ("few", "nobody", "a", 404),
]


@pytest.mark.parametrize(("user", "model", "profile", "status"), ASKED)
async def test_models_and_profiles_of_a_key(running, user, model, profile, status):
    async with running:
        headers = [*bearer(f"sk-{user}"), (b"config-profile", profile.encode()), (b"user", b"mallory")]
        reply = await running.ask(body(model), headers=headers)
        assert reply.status == status
        sent = [dict(request.headers).get(b"authorization") for request in running.upstream.requests]
        assert sent == ([b"Bearer engine-key"] if status == 200 else [])
        if status == 403:
            assert reply.header("x-aibrix-config-profile") == profile.encode()
            error = {"message": f"model {model} is not allowed for this key", "code": "model_not_allowed"}
            assert reply.json() == {"error": error | {"type": "permission_error"}}
            assert await running.outcomes() == {("m", profile, "403", "unauthorized"): 1}


async def test_a_missing_key_reads_no_body_and_is_counted(running):
    async with running:
        reply = await running.ask(b"no json")
        assert reply.status == 401
        assert reply.header("x-request-id")
        assert await running.outcomes() == {("_unknown", "", "401", "unauthorized"): 1}


async def test_the_user_is_the_keys_name(running):
    seen = []

    def noting(app):
        async def note(scope, receive, send):
            await app(scope, receive, send)
            seen.append(REQUEST.require(scope).user)

        return note

    headers = [*bearer("sk-few"), (b"user", b"mallory")]
    async with running, Running(pods=1) as open_to_all:
        await ask(noting(open_to_all.gateway), headers=headers)
        await ask(noting(running.gateway), headers=headers)
    assert seen == ["mallory", "few"]


@pytest.mark.parametrize(
    ("user", "listed"), [("all", ["gpt", "m", "m-sql"]), ("few", ["gpt", "m"]), ("sql", ["gpt", "m-sql"])]
)
async def test_the_list_of_models_is_the_keys(running, user, listed):
    async with running:
        headers = bearer(f"sk-{user}")
        reply = await running.ask(b"", "/v1/models", headers, method="GET")
        assert [model["id"] for model in reply.json()["data"]] == listed
        reply = await running.ask(b"", "/v1/models/m-sql", headers, method="GET")
        assert reply.status == (200 if "m-sql" in listed else 404)
        assert (await running.ask(b"", "/v1/models", method="GET")).status == 401
        assert (await running.ask(b"", "/healthz", method="GET")).status == 200


async def test_f70_a_key_is_nowhere_to_be_read(running, caplog):
    caplog.set_level(logging.DEBUG)
    async with running:
        for headers in (bearer("sk-few"), api_key("sk-few"), bearer("sk-canary")):
            for path in (CHAT, "/v1/embeddings"):
                reply = await running.ask(body("m"), path, headers)
                assert b"sk-" not in repr(reply.messages).encode()
        told = [record.getMessage() for record in caplog.records]
        metrics = (await ask(running.gateway.admin, b"", "/metrics", method="GET")).body
        sent = repr([(request.headers, request.body) for request in running.upstream.requests])
    assert "sk-" not in "".join(told)
    assert b"sk-" not in metrics
    assert "sk-" not in sent


def test_without_auth_nothing_is_in_the_stack():
    layer: Any = Running().gateway.stack
    names = []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    assert not {"AuthMiddleware", "AllowanceMiddleware"} & set(names)
