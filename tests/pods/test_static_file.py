"""A file of pods that is followed while it changes."""

import asyncio
import json

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.static import PodFile


def manifest(*names, **changes):
    labels = {"model.aibrix.ai/name": "m", "model.aibrix.ai/port": "9001"}
    items = [{"kind": "Pod", "metadata": {"name": name, "labels": labels | changes}} for name in names]
    return json.dumps({"kind": "List", "items": items})


def names(registry):
    return [pod.info.name for pod in registry.serving("m")]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "pods.yaml"
    path.write_text(manifest("a"))
    return path


@pytest.fixture
def file(path):
    file = PodFile(path, PodRegistry())
    file.load()
    return file


def test_load_reads_the_file(file):
    assert names(file.registry) == ["a"]
    assert file.fault is None


def test_load_takes_a_byte_order_mark_and_a_path_as_text(path):
    path.write_text(manifest("a"), "utf-8-sig")
    registry = PodRegistry()
    PodFile(str(path), registry).load()
    assert names(registry) == ["a"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "pods.yaml: cannot be read: No such file or directory"),
        (b"\xff\xfe", "pods.yaml: is not text: 'utf-8' codec can't decode byte 0xff"),
        (b"a: b: c", "pods.yaml: not YAML: line 1, column 5"),
        (b"kind: Pod", "pods.yaml: pod: Object missing required field metadata"),
        (b"", "pods.yaml: no pod in it names a model"),
    ],
)
def test_load_refuses_what_is_missing_or_broken(tmp_path, content, fault):
    path = tmp_path / "pods.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        PodFile(path, PodRegistry()).load()
    assert str(caught.value).startswith(f"{tmp_path}/{fault}")


async def test_reload_keeps_the_objects_of_pods_that_stay(file, path):
    (pod,) = file.registry.serving("m")
    path.write_text(manifest("a", "b", zone="x"))
    await file.reload()
    assert file.registry.serving("m")[0] is pod
    assert pod.info.labels["zone"] == "x"
    assert names(file.registry) == ["a", "b"]


async def test_a_broken_version_is_reported_once_and_the_last_good_one_stays(file, path, caplog):
    for content in ("a: b: c", "a: b: c", ""):
        path.write_text(content)
        await file.reload()
        assert names(file.registry) == ["a"]
    path.unlink()
    await file.reload()
    assert str(file.fault) == f"{path}: cannot be read: No such file or directory"
    assert names(file.registry) == ["a"]
    assert [record.getMessage().removeprefix(f"{path}: ")[:12] for record in caplog.records] == [
        "not YAML: li",
        "no pod in it",
        "cannot be re",
    ]
    path.write_text(manifest("b"))
    await file.reload()
    assert file.fault is None
    assert names(file.registry) == ["b"]


async def test_scaled_to_zero_is_no_fault(file, path):
    path.write_text("apiVersion: v1\nkind: List\nitems: []\n")
    await file.reload()
    assert file.fault is None
    assert file.registry.find("m").pods == ()


async def test_the_first_of_many_faults_speaks_for_all(file, path):
    path.write_text(manifest("a", "b", zone=1))
    await file.reload()
    assert str(file.fault) == f"{path}: items[0].metadata.labels: zone: must be a string: quote the value (and 1 more)"


async def test_two_files_do_not_disturb_each_other(file, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(manifest("b"))
    second = PodFile(other, file.registry, source="second")
    second.load()
    assert sorted(names(file.registry)) == ["a", "b"]
    other.write_text(manifest("c"))
    await second.reload()
    assert sorted(names(file.registry)) == ["a", "c"]


class Steps:
    """A sleep that lets the test change the file between two looks of the watch."""

    def __init__(self):
        self.looked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, interval):
        assert interval <= 0.25
        self.looked.set()
        await self.go.wait()
        self.go.clear()

    async def look(self):
        self.looked.clear()
        self.go.set()
        await self.looked.wait()


async def settled(condition):
    """Let the loop run until the condition holds; reading the file happens in a thread."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.to_thread(lambda: None)


async def test_watch_follows_changes_replacements_and_symlinks(file, path, tmp_path):
    steps = Steps()
    watch = asyncio.create_task(file.watch(sleep=steps))
    await steps.looked.wait()

    path.write_text(manifest("a", "b"))
    await steps.look()
    await settled(lambda: names(file.registry) == ["a", "b"])

    (tmp_path / "new").write_text(manifest("c"))
    (tmp_path / "new").rename(path)
    await steps.look()
    await settled(lambda: names(file.registry) == ["c"])

    path.unlink()
    await steps.look()
    await settled(lambda: file.fault is not None)

    (tmp_path / "target").write_text(manifest("d"))
    path.symlink_to("target")
    await steps.look()
    await settled(lambda: names(file.registry) == ["d"])
    assert file.fault is None

    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_a_change_between_load_and_watch_is_not_missed(file, path):
    path.write_text(manifest("a", "b"))
    watch = asyncio.create_task(file.watch(sleep=Steps()))
    await settled(lambda: names(file.registry) == ["a", "b"])
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
