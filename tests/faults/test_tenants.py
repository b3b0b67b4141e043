"""F71: with `prefix_cache.isolate: tenant` no tenant learns from another's prompts, here or in engines."""

import json

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.keys import cache_salt, hash_of
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.strategies.catalogue import Catalogue
from tests.strategies.reports import clock
from tests.support import Running, ask, ask_for, info, make_pods, registry_of

PROMPT = "hello " * 200
BODY = json.dumps({"model": "m", "prompt": PROMPT}).encode()
COMPLETIONS = "/v1/completions"


def isolating(tmp_path, isolate="tenant", **settings):
    """A gateway with the keys sk-a1 and sk-a2 of tenant a, and sk-b of b."""
    names = {"a1": "a", "a2": "a", "b": "b"}
    rows = [
        f"- {{name: {name}, tenant: {tenant}, sha256: {hash_of('sk-' + name)}}}\n" for name, tenant in names.items()
    ]
    (tmp_path / "keys.yaml").write_text("".join(rows))
    auth = {"keys_file": str(tmp_path / "keys.yaml")}
    return Running(auth=auth, prefix_cache={"isolate": isolate}, **settings)


def key(name):
    return [(b"authorization", f"Bearer sk-{name}".encode())]


@pytest.mark.parametrize(("isolate", "hits"), [("tenant", 0.0), ("none", 9 / 9)])
async def test_f71_one_tenant_has_no_hits_on_anothers_prefix(tmp_path, isolate, hits):
    routing = {"default_strategy": "prefix-cache"}
    async with isolating(tmp_path, isolate, pods=4, routing=routing) as running:
        for name in ("a1", "a2", "b"):
            reply = await running.ask(BODY, COMPLETIONS, key(name))
            assert reply.status == 200
        matched = await running.counted("aibrix_gateway_prefix_match_ratio_sum")
        assert matched == {(): 1 + int(hits)}  # a2 finds all that a1 has left


@pytest.mark.parametrize("name", ["prefix-cache", "prefix-cache-preble"])
def test_f71_every_strategy_that_looks_at_prompts_keeps_tenants_apart(name):
    strategy = Catalogue(clock=clock()).get(name)
    pods = make_pods(3)
    requests = {}
    for tenant in ("a", "b"):
        requests[tenant] = ask_for(BODY)
        requests[tenant].tenant = tenant
    assert strategy.pick(requests["a"], pods).match == 0.0
    assert strategy.pick(requests["b"], pods).match == 0.0
    assert strategy.pick(requests["a"], pods).match == 1.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"model": "m" }', '{"model": "m" ,"cache_salt":"SALT"}'),
        ('\n{ "model": "m", "cache_salt" : "mine"}', '\n{ "model": "m", "cache_salt" : "SALT"}'),
        ('{"cache_salt": null, "model": "m"}', '{"cache_salt": "SALT", "model": "m"}'),
        ('{"model": "m", "cache\\u005fsalt": {"a": []}}', '{"model": "m", "cache\\u005fsalt": "SALT"}'),
        (
            '{"cache_salt": "x", "model": "m", "cache_salt": "y"}',
            '{"cache_salt": "SALT", "model": "m", "cache_salt": "SALT"}',
        ),
        ('{"model": "m", "x": {"cache_salt": "x"}}', '{"model": "m", "x": {"cache_salt": "x"},"cache_salt":"SALT"}'),
    ],
)
@pytest.mark.parametrize("path", [COMPLETIONS, "/v1/chat/completions", "/v1/messages"])
async def test_f71_the_engine_gets_a_salt_that_no_client_can_choose(tmp_path, before, after, path):
    async with isolating(tmp_path) as running:
        for name, tenant in (("a1", "a"), ("a2", "a"), ("b", "b")):
            length = [(b"content-length", b"%d" % len(before))]
            assert (await running.ask(before.encode(), path, [*key(name), *length])).status == 200
            request = running.upstream.requests[-1]
            assert request.body.decode() == after.replace("SALT", cache_salt(tenant))
            assert request.length == len(request.body)


async def test_the_model_of_an_alias_and_the_salt_are_both_changed(tmp_path):
    models = {"m": {"aliases": ["gpt"]}}
    async with isolating(tmp_path, models=models) as running:
        await running.ask(b'{"model":"gpt"}', headers=key("b"))
        assert json.loads(running.upstream.bodies[0]) == {"model": "m", "cache_salt": cache_salt("b")}


async def test_forms_have_no_prompts_to_share(tmp_path):
    body = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--x--\r\n'
    headers = [*key("a1"), (b"content-type", b"multipart/form-data; boundary=x")]
    async with isolating(tmp_path) as running:
        assert (await running.ask(body, "/v1/audio/transcriptions", headers)).status == 200
        assert running.upstream.bodies == [body]


async def test_without_isolation_the_clients_salt_is_its_own(tmp_path):
    body = b'{"model": "m", "cache_salt": "mine"}'
    async with isolating(tmp_path, "none") as running:
        await running.ask(body, headers=key("a1"))
        assert running.upstream.bodies == [body]


async def test_who_isolates_must_know_the_tenant():
    with pytest.raises(ConfigurationError, match=r"prefix_cache\.isolate: needs auth\.keys_file"):
        create_app({"prefix_cache": {"isolate": "tenant"}})
    app = ModelMiddleware(None, registry=registry_of(info()), isolate_tenants=True)
    with pytest.raises(LookupError, match="AuthMiddleware"):
        await ask(app)


@pytest.mark.parametrize("settings", [{"models": {"m": {"aliases": ["gpt"]}}}, {}])
async def test_a_body_that_must_change_and_is_no_text_is_refused(tmp_path, settings):
    body = b'{"model": "%b", "\xff": 1}' % (b"gpt" if settings else b"m")
    async with isolating(tmp_path, "none" if settings else "tenant", **settings) as running:
        reply = await running.ask(body, headers=key("a1"))
        assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid_request")
        assert running.upstream.requests == []
