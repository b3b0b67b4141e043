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
