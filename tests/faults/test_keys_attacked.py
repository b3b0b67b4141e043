"""Clients that try to get at more than their key opens: models, profiles, tenants, other clients' names."""

import json

import pytest

from aibrix_mw.keys import hash_of
from tests.support import CHAT, Running, info

FEW = b"Bearer sk-few"
CONFIG = {
    "defaultProfile": "a",
    "profiles": {"a": {}, "b": {"routingConfig": {"promptTokensGte": 1}}},
}


@pytest.fixture
def guarded(tmp_path):
    """Key sk-few opens model m with profile a; the pod serves the adapter m-sql too."""
    entries = [
        {"name": "few", "sha256": hash_of("sk-few"), "models": ["m"], "profiles": ["a"]},
        {"name": "all", "sha256": hash_of("sk-all")},
    ]
    (tmp_path / "keys.yaml").write_text(json.dumps(entries))
    auth = {"keys_file": str(tmp_path / "keys.yaml")}
    pods = [info(1, adapters=("m-sql",))]
    return Running(pods=pods, auth=auth, models={"m": {"config": CONFIG}}, users={"records": {"few": {"rpm": 1}}})


BODIES = [
    b'{"model": "m-sql"}',
    b'{"model": "m", "model": "m-sql"}',
    b'{"model": "m-sql", "model": "m"}',
    b'{"model": "m", "mod\\u0065l": "m-sql"}',
    b'{"mod\\u0065l": "m-sql", "model": "m"}',
    b'{"model": "m\\u002dsql"}',
    b'{"model": "m", "MODEL": "m-sql"}',
    b'{"model": "m", "x": {"model": "m-sql"}}',
    b'{"model": "M"}',
    b'{"model": " m"}',
    b'{"model": "m\\u0000"}',
    b'{"model": "m"}{"model": "m-sql"}',
]


@pytest.mark.parametrize("body", BODIES)
async def test_the_model_that_is_judged_is_the_one_that_the_engine_reads(guarded, body):
    async with guarded as running:
        reply = await running.ask(body, headers=[(b"authorization", FEW)])
        read = [json.loads(sent)["model"] for sent in running.upstream.bodies]
        assert (reply.status, read) in [(200, ["m"]), (403, []), (404, []), (400, [])]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"config-profile", b"b")],
        [(b"config-profile", b" b ")],
        [(b"config-profile", b"a"), (b"config-profile", b"b")],
        [(b"config-profile", b"auto")],
    ],
)
async def test_a_profile_is_judged_however_it_is_chosen(guarded, headers):
    async with guarded as running:
        body = b'{"model": "m", "prompt": "long enough"}'
        reply = await running.ask(body, headers=[(b"authorization", FEW), *headers])
        assert (reply.status, reply.json()["error"]["code"]) == (403, "model_not_allowed")
        assert running.upstream.requests == []


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ([(b"authorization", b"Bearer x"), (b"authorization", FEW)], b"", 200),
        ([(b"authorization", FEW), (b"authorization", b"Bearer x")], b"", 401),
        ([(b"authorization", b"Bearer sk-few, Bearer x")], b"", 401),
        ([(b"authorization", b"Bearer  sk-few")], b"", 200),
        ([(b"authorization", b"Bearer sk-few\t")], b"", 200),
        ([(b"authorization", b"bearer sk-Few")], b"", 401),
        ([(b"authorization", b"Basic c2stZmV3")], b"", 401),
        ([(b"x_api_key", b"sk-few")], b"", 401),
        ([(b"cookie", b"authorization=Bearer sk-few")], b"", 401),
        ([(b"proxy-authorization", FEW)], b"", 401),
        ([], b"api_key=sk-few&authorization=Bearer%20sk-few", 401),
        ([(b"authorization", b"Bearer " + hash_of("sk-few").encode())], b"", 401),
    ],
)
async def test_where_a_key_may_stand(guarded, headers, query, status):
    async with guarded as running:
        reply = await running.ask(headers=headers, query_string=query)
        assert reply.status == status
        sent = repr([request.headers for request in running.upstream.requests])
        assert "sk-" not in sent
        assert ("authorization" in sent, len(running.upstream.requests)) == (False, int(status == 200))


async def test_nobody_is_another_user(guarded):
    """The limit of `few` is one request a minute, whatever name the client gives."""
    async with guarded as running:
        for name, status in ((b"all", 200), (b"nobody", 429), (b"", 429)):
            headers = [(b"authorization", FEW), (b"user", name)]
            assert (await running.ask(b'{"model": "m"}', headers=headers)).status == status


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/m", "/v1/embeddings", "/tokenize"])
async def test_every_path_that_serves_asks_for_a_key(guarded, path):
    async with guarded as running:
        method = "GET" if path.startswith("/v1/models") else "POST"
        for headers in ([], [(b"authorization", b"Bearer sk-other")]):
            assert (await running.ask(path=path, method=method, headers=headers)).status == 401
        assert running.upstream.requests == []
