"""StrictHttpMiddleware: refuses what no proxy may forward, before anybody believes a word of it."""

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.client import RAW_TARGET
from aibrix_mw.errors import GatewayError, HeadTooLarge, InvalidHead
from aibrix_mw.head import size_of
from aibrix_mw.headers import LOOK_ALIKES
from aibrix_mw.scope import headers_of, refuse

MAX_TARGET_BYTES: Final = 8192

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_NAME: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_TARGET: Final = re.compile(rb"[^\x21-\x7e]|#")
# what a server behind this one might read as a control character, a slash or a dot
_ENCODED: Final = re.compile(rb"%(?:[01][0-9a-f]|7f|2e|2f|5c)", re.IGNORECASE)
_ENCODED_IN_A_NAME: Final = re.compile(rb"%(?:[01][0-9a-f]|7f|5c)|(?:\.|%2e){2}", re.IGNORECASE)
_MODELS: Final = b"/v1/models/"
_SINGLE: Final = frozenset({b"host", b"content-length", b"content-type", b"transfer-encoding"})
_SUSPECT: Final = LOOK_ALIKES | {b"transfer-encoding"}
_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})
_MOST_REMEMBERED = 1024
_MOST_BYTES_REMEMBERED: Final = 256

_Start = tuple[str, str, bytes, bytes | None]


class StrictHttpMiddleware:
    """Answers 400 to requests that two servers might read as different ones, 431 to heads over the bounds.

    Refused are both framings at once, transfer codings but `chunked`, a missing, second or illegal `Host`, targets that
    are no path, encoded dots and slashes in it (slashes may be in the name of a model: `/v1/models/NAME`), control
    characters. Headers that differ by underscores from those that the gateway trusts are dropped.

    Our own server has judged all that can be seen while a head arrives; under any other one that is done here.
    """

    def __init__(self, app: ASGIApp, *, max_header_bytes: int = 65_536, max_headers: int = 100) -> None:
        self.app = app
        self.max_header_bytes = max_header_bytes
        self.max_headers = max_headers
        self._known: set[_Start] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or refuse it."""
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await refuse(refusal, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> GatewayError | None:
        fields = headers_of(scope)
        extensions = scope.get("extensions")
        target: bytes | None = extensions.get(RAW_TARGET) if extensions else None
        if target is None:
            refusal = self._as_it_arrived(scope)
            if refusal is not None:
                return refusal
            target = _target_of(scope)
        start = (scope["method"], scope["http_version"], target, fields.get(b"host"))
        if start not in self._known:
            refusal = _start_fault(start)
            if refusal is not None:
                return refusal
            self._remember(start)
        if len(fields) != len(scope["headers"]) or not _SUSPECT.isdisjoint(fields):
            return _look_closer(scope, fields)
        return None

    def _remember(self, start: _Start) -> None:
        if len(start[2]) + len(start[3] or b"") > _MOST_BYTES_REMEMBERED:
            return
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known.add(start)

    def _as_it_arrived(self, scope: Scope) -> GatewayError | None:
        """What our own server refuses on the wire."""
        headers = scope["headers"]
        for name, value in headers:
            if not _NAME.fullmatch(name) or _CONTROL.search(value):
                return InvalidHead("a header has a character that none may have")
            if name == b"content-length" and not value.isdigit():
                return InvalidHead("content-length is not a number")
        if len(headers) > self.max_headers:
            return HeadTooLarge(f"the request has more than {self.max_headers} headers")
        if size_of(_target_of(scope), headers) > self.max_header_bytes:
            return HeadTooLarge(f"the head of the request is larger than {self.max_header_bytes} bytes")
        return None


def _target_of(scope: Scope) -> bytes:
    """The target, as far as a server tells it."""
    path: bytes = scope.get("raw_path") or scope["path"].encode() or b"/"
    query: bytes = scope["query_string"]
    return b"%b?%b" % (path, query) if query else path


def _start_fault(start: _Start) -> GatewayError | None:
    """What is wrong with the first line or the host."""
    method, version, target, host = start
    if len(target) > MAX_TARGET_BYTES:
        return HeadTooLarge(f"the target of the request is longer than {MAX_TARGET_BYTES} bytes")
    if version not in _VERSIONS:
        return InvalidHead(f"HTTP {version} is not spoken here")
    if method == "CONNECT":
        return InvalidHead("this is no proxy for tunnels")
    if target[:1] != b"/" or _NO_TARGET.search(target):
        return InvalidHead("the target of the request is not a path")
    if _hides_something(target.partition(b"?")[0]):
        return InvalidHead("the path hides a dot, a slash or a control character")
    if host is None:
        return InvalidHead("host is missing") if version == "1.1" else None
    return None if _HOST.fullmatch(host) else InvalidHead("host is not a host")


def _hides_something(path: bytes) -> bool:
    if not _ENCODED.search(path):
        return False
    before, _, name = path.partition(_MODELS)
    return _ENCODED.search(before) is not None or _ENCODED_IN_A_NAME.search(name) is not None


def _look_closer(scope: Scope, fields: dict[bytes, bytes]) -> GatewayError | None:
    """Judge headers that are there twice, or should not be there."""
    headers = scope["headers"]
    names = [name for name, _ in headers if name in _SINGLE]
    if len(names) > len(set(names)):
        return InvalidHead("one of host, content-length, content-type and transfer-encoding is there twice")
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != b"chunked" or scope["http_version"] != "1.1":
            return InvalidHead("transfer-encoding is not chunked")
        if b"content-length" in fields:
            return InvalidHead("both transfer-encoding and content-length are there")
    scope["headers"] = [header for header in headers if header[0] not in LOOK_ALIKES]
    for name in LOOK_ALIKES.intersection(fields):
        del fields[name]
    return None
