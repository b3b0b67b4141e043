"""A secret in a file."""

import asyncio

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.secretfile import SecretFile
from tests.support import until


def secret_file(path):
    return SecretFile(path, "auth.engine_key_file")


async def test_a_secret_is_read_and_followed(tmp_path, log):
    path = tmp_path / "key"
    path.write_text(" one\n")
    file = secret_file(path)
    file.load()
    assert file() == b"one"
    assert "one" not in repr(file)
    watching = asyncio.ensure_future(file.watch())
    path.write_text("")
    await until(lambda: any("last good version" in line for line in log()))
    assert file() == b"one"
    path.write_text("another")
    await until(lambda: file() == b"another")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert "another" not in "".join(log())


@pytest.mark.parametrize("content", [b"", b" \n", b"two\nlines", b"a b", b"\xff", b"\x00a"])
def test_what_is_no_secret(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^auth\.engine_key_file: .*expected one line of visible ASCII$"):
        secret_file(path).load()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^auth\.engine_key_file: .*No such file"):
        secret_file(tmp_path / "none").load()
