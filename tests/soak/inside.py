"""`aibrix-mw ARGUMENTS`, with one thing more: on SIGUSR1 it writes into a file what it holds.

That is which tasks its event loop has, and how many objects of each type there are that may hold others, after garbage
has been collected; those that were there when it began to serve are counted together.

A script, not a module of the tests, because it also runs with a Python that has only the package installed:
`python inside.py FILE serve ...`. The handler runs between two callbacks of the loop, so that no task is half done.
"""

import asyncio
import gc
import json
import signal
import sys
from collections import Counter
from pathlib import Path


def name_of(task: "asyncio.Task[object]") -> str:
    """What the task runs; compiled coroutines have no name but that of their type."""
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", None) or type(coroutine).__qualname__


def tell(file: Path) -> None:
    """Write tasks by name and objects by type; the file is there only when it is whole."""
    tasks = Counter(name_of(task) for task in asyncio.all_tasks())
    gc.collect()
    objects = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    objects["there from the start"] = gc.get_freeze_count()
    fresh = file.with_suffix(".fresh")
    fresh.write_text(json.dumps({"tasks": tasks, "objects": objects}))
    fresh.replace(file)


def main(file: str, *arguments: str) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: tell(Path(file)))
    sys.argv[1:] = arguments
    sys.path.pop(0)  # the folder of this script
    from aibrix_mw.cli import main as command

    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
