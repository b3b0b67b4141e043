"""The load generator as a process of the command's own."""

import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from aibrix_mw.sizing.failures import SizingError
from aibrix_mw.sizing.orders import Done, Order, Progress, Setup, Tell
from aibrix_mw.sizing.records import Step

_SECONDS_TO_END = 5.0


class Generator:
    """Runs the generator for the length of a block; a `Runner`.

    It has a process group of its own, so that Ctrl-C reaches the command alone, which can still report.
    """

    def __init__(self, setup: Setup) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aibrix_mw.sizing.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self._decode = msgspec.json.Decoder(Progress | Done).decode
        self._send(setup)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        process = self._process
        if error is not None:
            self.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # there is something in it that it was too late for
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it at once: in the middle of a step nobody waits for its end."""
        self._process.kill()

    def run(self, order: Order, tell: Tell) -> Step:
        """Carry out an order; SizingError when the process ends instead."""
        self._send(order)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = self._decode(line)
            if isinstance(message, Done):
                return message.step
            tell(message)
        raise SizingError(f"the load generator ended by itself with status {self._process.wait()}")

    def _send(self, message: Setup | Order) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SizingError(f"the load generator ended by itself with status {self._process.wait()}") from None
