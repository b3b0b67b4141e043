"""What the settings `auth` call for: files that must be there, and are followed."""

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.keys import hash_of
from tests.support import Running, until

BEARER = [(b"authorization", b"Bearer sk-one")]


def keys(secret):
    return f"- {{name: al, sha256: {hash_of(secret)}}}\n"


@pytest.mark.parametrize(
    ("setting", "content", "fault"),
    [
        ("keys_file", None, r"auth\.keys_file: .*cannot be read: No such file"),
        ("keys_file", "- {name: al, sha256: x}", r"auth\.keys_file: .*\[0\]\.sha256: expected the SHA-256"),
        ("engine_key_file", None, r"auth\.engine_key_file: .*No such file"),
        ("engine_key_file", "a b", r"auth\.engine_key_file: .*visible ASCII"),
    ],
)
async def test_files_that_cannot_be_used_stop_the_start(tmp_path, setting, content, fault):
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=fault):
        async with create_app({"auth": {setting: str(file)}}).running():
            pass


async def test_keys_change_while_the_gateway_runs(tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(keys("sk-one"))
    async with Running(auth={"keys_file": str(file)}) as running:
        assert (await running.ask(headers=BEARER)).status == 200
        file.write_text("- broken")
        await until(running.gateway.faults)
        assert "keys.yaml[0]" in str(running.gateway.faults()[0])
        assert (await running.ask(headers=BEARER)).status == 200
        file.write_text(keys("sk-two"))
        await until(lambda: not running.gateway.faults())
        assert (await running.ask(headers=BEARER)).status == 401


async def test_an_engine_key_alone(tmp_path):
    file = tmp_path / "key"
    file.write_text("engine")
    async with Running(auth={"engine_key_file": str(file)}) as running:
        assert (await running.ask()).status == 200
        assert (b"authorization", b"Bearer engine") in running.upstream.requests[0].headers


# --- pages of other origins

PREFLIGHT = [
    (b"origin", b"https://chat.example"),
    (b"access-control-request-method", b"POST"),
    (b"access-control-request-headers", b"authorization, content-type, x-stainless-os"),
]


async def test_no_page_of_another_origin_is_let_in_by_default():
    async with Running() as running:
        reply = await running.ask(b"", headers=PREFLIGHT, method="OPTIONS")
        assert reply.status == 405
        reply = await running.ask(headers=PREFLIGHT[:1])
        assert reply.status == 200
        assert not [name for name, _ in reply.headers if name.startswith(b"access-control")]


@pytest.mark.parametrize("origins", [["https://chat.example", "http://localhost:3000"], ["*"]])
async def test_pages_of_named_origins_may_call(tmp_path, origins):
    file = tmp_path / "keys.yaml"
    file.write_text(keys("sk-one"))
    async with Running(auth={"keys_file": str(file)}, cors={"origins": origins}) as running:
        reply = await running.ask(b"", headers=PREFLIGHT, method="OPTIONS")  # carries no key
        assert reply.status == 200
        assert reply.header("access-control-allow-headers") == b"authorization, content-type, x-stainless-os"
        allowed = b"*" if origins == ["*"] else b"https://chat.example"
        for headers, status in (([*PREFLIGHT[:1], *BEARER], 200), (PREFLIGHT[:1], 401)):
            reply = await running.ask(headers=headers)
            assert (reply.status, reply.header("access-control-allow-origin")) == (status, allowed)
            assert reply.header("access-control-expose-headers") == b"*"
            assert reply.header("access-control-allow-credentials") is None


async def test_other_pages_may_not():
    async with Running(cors={"origins": ["https://chat.example"]}) as running:
        for origin in (b"https://evil.example", b"https://chat.example.evil", b"null", b"http://chat.example"):
            reply = await running.ask(b"", headers=[(b"origin", origin), *PREFLIGHT[1:]], method="OPTIONS")
            assert (reply.status, reply.header("access-control-allow-origin")) == (400, None)
            reply = await running.ask(headers=[(b"origin", origin)])
            assert reply.header("access-control-allow-origin") is None
