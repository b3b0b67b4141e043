"""What the API server answers: pages, watch events, failures.

Objects stay raw until their kind is known: only the fields that decide about routing are ever decoded.

    DiscoveryError      an exchange with the API server failed; `longest_wait` bounds the seconds until the next try
    ├── Away            refused, reset or timed out: it may be back any moment
    ├── Refused         401, 403, 429, 5xx: it is there, and does not want to
    ├── Gone            410: the version asked for is no longer kept; only a new list helps
    └── Malformed       it says something that is no list or watch of pods
"""

from collections.abc import Callable
from typing import ClassVar, TypeVar

import msgspec

T = TypeVar("T")


class ListMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "token": "continue"}):
    """`metadata` of a list: its version, and how to get its next page."""

    resource_version: str = ""
    token: str = ""


class Page(msgspec.Struct):
    """One page of a list."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class ObjectMeta(msgspec.Struct):
    """Who an object is, and its version."""

    uid: str = ""
    resource_version: str = msgspec.field(name="resourceVersion", default="")


class _Object(msgspec.Struct):
    metadata: ObjectMeta


class ApiStatus(msgspec.Struct):
    """The API server's word on what went wrong."""

    code: int = 0
    reason: str = ""
    message: str = ""


_page = msgspec.json.Decoder(Page).decode
_event = msgspec.json.Decoder(WatchEvent).decode
_status = msgspec.json.Decoder(ApiStatus).decode
_object = msgspec.json.Decoder(_Object).decode


def page(raw: bytes) -> Page:
    """A page of a list; Malformed."""
    return _decoded(_page, raw)


def watch_event(raw: bytes) -> WatchEvent:
    """A line of a watch; Malformed."""
    return _decoded(_event, raw)


def object_meta(raw: msgspec.Raw) -> ObjectMeta:
    """The identity of any object; Malformed."""
    return _decoded(_object, raw).metadata


def _decoded(decode: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the API server's answer is no list or watch of pods: {error}") from error


def api_status(raw: bytes | msgspec.Raw) -> ApiStatus:
    """The Status in a body; an empty one when it is something else, such as a proxy's HTML."""
    try:
        return _status(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ApiStatus()


class DiscoveryError(Exception):
    """An exchange with the API server failed."""

    longest_wait: ClassVar[float] = 1.0
    at_least: float = 0.0


class Away(DiscoveryError):
    """No answer: refused, reset or timed out."""


class Gone(DiscoveryError):
    """The version is too old."""


class Malformed(DiscoveryError):
    """Not the answer of an API server."""

    longest_wait = 30.0


class Refused(DiscoveryError):
    """An answer that is a refusal; `at_least` is what its retry-after asks for."""

    longest_wait = 30.0

    def __init__(self, status: int, message: str, at_least: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.at_least = min(at_least, self.longest_wait)


def failure(status: int, verb: str, resource: str, where: str, body: bytes, retry_after: str = "") -> DiscoveryError:
    """The error for a status, saying which right is missing where one is."""
    said = api_status(body)
    if status == 410:
        return Gone(said.message or "the version is too old")
    doing = f"verb {verb}, resource {resource}, {where}"
    if status == 401:
        text = f"unauthorized (401): the API server does not accept the gateway's credentials ({doing})"
    elif status == 403:
        text = f"forbidden (403): the gateway's account lacks a right: {doing}"
    else:
        text = f"status {status} ({doing})"
    if said.message:
        text = f"{text}: {said.message}"
    return Refused(status, text, float(retry_after) if retry_after.isdigit() else 0.0)
