"""What a request target says."""

from typing import Any
from urllib.parse import unquote

import httptools

_MOST_TARGETS_REMEMBERED = 1024
_MOST_BYTES_REMEMBERED = 256


class Targets(dict[bytes, tuple[str, bytes, bytes]]):
    """Path, raw path and query of request targets; the short ones are remembered."""

    def __missing__(self, url: bytes) -> tuple[str, bytes, bytes]:
        parsed: Any = httptools.parse_url(url)  # absent parts are None, whatever its types say
        raw_path: bytes = parsed.path or b"/"
        parts = (unquote(raw_path.decode("ascii")), raw_path, parsed.query or b"")
        if len(url) <= _MOST_BYTES_REMEMBERED:
            if len(self) >= _MOST_TARGETS_REMEMBERED:
                self.clear()
            self[url] = parts
        return parts


TARGETS = Targets()
