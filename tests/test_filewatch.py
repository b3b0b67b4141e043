import os

import pytest

from aibrix_mw.filewatch import fingerprint, watch_file


class Stopped(Exception):
    pass


async def watch(path, steps, **options):
    """Run the watcher through one step after each look, then stop it; returns how often it told of a change."""
    told = []
    script = iter(steps)

    async def sleep(interval):
        assert interval == options.get("interval", 0.25)
        step = next(script, None)
        if step is None:
            raise Stopped
        told.append(step())

    calls = []
    with pytest.raises(Stopped):
        await watch_file(path, lambda: calls.append(len(told)), sleep=sleep, **options)
    return calls


def nothing():
    pass


async def test_tells_of_new_content_once(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    assert await watch(path, [nothing, lambda: path.write_text("three"), nothing, nothing]) == [2]


async def test_tells_of_same_size_and_new_time(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    assert await watch(path, [lambda: os.utime(path, ns=(1, 1))], interval=0.1) == [1]


async def test_tells_of_a_replaced_file(tmp_path):
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("one")
    other.write_text("two")
    os.utime(path, ns=(5, 5))
    os.utime(other, ns=(5, 5))
    assert await watch(path, [lambda: other.rename(path), nothing]) == [1]


async def test_follows_the_symlinks_of_a_mounted_config_map(tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "pods.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "pods.yaml").symlink_to("..data/pods.yaml")

    def swap():
        (tmp_path / "..tmp").symlink_to("v2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")

    assert await watch(tmp_path / "pods.yaml", [nothing, swap, nothing]) == [2]


async def test_tells_when_the_file_goes_and_when_it_comes_back(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    assert await watch(path, [path.unlink, nothing, lambda: path.write_text("one")]) == [1, 3]


async def test_waits_for_a_file_that_is_not_there_yet(tmp_path):
    path = tmp_path / "file"
    assert await watch(path, [nothing, lambda: path.write_text("one")]) == [2]


async def test_a_change_before_the_watch_is_told_at_once(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    since = fingerprint(path)
    path.write_text("three")
    assert await watch(path, [nothing], since=since) == [0]


async def test_an_error_of_the_listener_is_logged_and_the_watch_goes_on(tmp_path, caplog):
    path = tmp_path / "file"
    calls = []
    steps = iter(["one", "three"])

    async def sleep(_):
        text = next(steps, None)
        if text is None:
            raise Stopped
        path.write_text(text)

    def changed():
        calls.append(path.read_text())
        raise RuntimeError("no")

    with pytest.raises(Stopped):
        await watch_file(path, changed, sleep=sleep)
    assert calls == ["one", "three"]
    assert caplog.text.count(f"{path}: cannot take over the change") == 2


@pytest.mark.parametrize("path", ["/nowhere/at/all", "nul\0byte", "x" * 5000])
def test_what_cannot_be_looked_at_has_no_fingerprint(path):
    assert fingerprint(path) is None
