"""An event loop whose time jumps: what waits for seconds is tested in none."""

import asyncio
import selectors


class JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, time passes."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose sleeps take no time."""

    def __init__(self):
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self):
        return self._jumping.now


def in_virtual_time(work):
    """Run a coroutine to its end on a loop whose time jumps."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
