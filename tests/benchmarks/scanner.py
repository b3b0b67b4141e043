"""Find where an HTTP/1.1 message ends with as little work as possible, for load generator and mock engine only."""

import re
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class AnswerError(Exception):
    """The bytes are not one well-framed answer."""


def request_end(data: bytes) -> int:
    """Give the length in bytes of the first request in `data`, 0 while it is incomplete."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    found = _LENGTH.search(data, 0, head_end)
    if found:
        end = head_end + 4 + int(found[1])
        return end if end <= len(data) else 0
    if _CHUNKED.search(data, 0, head_end):
        last = data.find(b"\r\n0\r\n\r\n", head_end)
        return last + 7 if last >= 0 else 0
    return head_end + 4


class AnswerScanner:
    """Counts the body bytes of one answer after another on one connection (no pipelining)."""

    __slots__ = ("_body", "_chunked", "_length", "_rest", "_status")

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._rest = b""
        self._status = 0
        self._body = 0
        self._length = 0
        self._chunked = False

    def feed(self, data: bytes) -> tuple[int, int] | None:
        """Take bytes as they came; give (status, body bytes) when an answer is complete, else None."""
        if not self._status:
            data = self._read_head(self._rest + data if self._rest else data)
            if not self._status:
                return None
        if not (self._read_chunks(data) if self._chunked else self._read_plain(data)):
            return None
        done = self._status, self._body
        self._reset()
        return done

    def _read_head(self, data: bytes) -> bytes:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._rest = data
            return b""
        self._rest = b""
        if not data.startswith(b"HTTP/1.1 "):
            raise AnswerError(f"not an HTTP/1.1 answer: {data[:80]!r}")
        found = _LENGTH.search(data, 0, end)
        self._chunked = not found and _CHUNKED.search(data, 0, end) is not None
        if not found and not self._chunked:
            raise AnswerError(f"an answer without a length: {data[:end]!r}")
        self._length = int(found[1]) if found else 0
        self._status = int(data[9:12])
        return data[end + 4 :]

    def _read_plain(self, data: bytes) -> bool:
        self._body += len(data)
        if self._body > self._length:
            raise AnswerError(f"{self._body - self._length} bytes too many")
        return self._body == self._length

    def _read_chunks(self, data: bytes) -> bool:
        if self._rest:
            data = self._rest + data
        at = 0
        while (line_end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line_end].partition(b";")[0], 16)
            after = line_end + 2 + size + 2
            if after > len(data):
                break
            if size == 0:
                return self._last_chunk(len(data) - after)
            self._body += size
            at = after
        self._rest = data[at:]
        return False

    def _last_chunk(self, left: int) -> bool:
        if left:
            raise AnswerError(f"{left} bytes after the last chunk")
        return True
