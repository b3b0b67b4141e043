"""An inference request: the body as it came, and the few fields of it that the gateway needs."""

from collections.abc import Callable, Mapping
from re import compile as regex

import msgspec

from aibrix_mw.errors import InvalidRequest

_PROBLEM = regex(r"(?P<reason>.*?)(?: - at `\$(?P<path>.*)`)?$")
_MISSING = regex(r"required field `(?P<field>\w+)`")


LARGE_BYTES = 16384
"""Bodies below are not worth letting go early: 10,000 of them are less than `limits.max_buffered_bytes` by default."""


class RequestFields(msgspec.Struct, omit_defaults=True):
    """What is decoded of a body; the rest is skipped, and whatever is Raw is the engine's to judge."""

    model: str
    stream: bool | None = None
    tools: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    max_tokens: msgspec.Raw = msgspec.Raw()
    max_completion_tokens: msgspec.Raw = msgspec.Raw()
    max_output_tokens: msgspec.Raw = msgspec.Raw()
    previous_response_id: msgspec.Raw = msgspec.Raw()
    kv_transfer_params: msgspec.Raw = msgspec.Raw()
    disaggregated_params: msgspec.Raw = msgspec.Raw()
    bootstrap_host: msgspec.Raw = msgspec.Raw()
    bootstrap_port: msgspec.Raw = msgspec.Raw()
    bootstrap_room: msgspec.Raw = msgspec.Raw()

    def transfer_field(self) -> str | None:
        """Name of a field by which a client tells engines where to connect; None when there is none."""
        if not (
            self.kv_transfer_params
            or self.disaggregated_params
            or self.bootstrap_host
            or self.bootstrap_port
            or self.bootstrap_room
        ):
            return None
        return next(name for name in _TRANSFER_FIELDS if getattr(self, name))


_TRANSFER_FIELDS = ("kv_transfer_params", "disaggregated_params", "bootstrap_host", "bootstrap_port", "bootstrap_room")

_decode = msgspec.json.Decoder(RequestFields).decode


def parse_fields(body: bytes | bytearray) -> RequestFields:
    """Decode what the gateway needs of a JSON body; InvalidRequest says what is wrong and where."""
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None


def _explain(problem: str) -> InvalidRequest:
    match = _PROBLEM.match(problem)
    assert match is not None
    missing = _MISSING.search(problem)
    if missing:
        return InvalidRequest(f"{missing['field']} is missing", param=missing["field"])
    path = (match["path"] or "").lstrip(".")
    return InvalidRequest(f"{path or 'the body'}: {match['reason']}", param=path or None)


class InferenceRequest(msgspec.Struct, kw_only=True, eq=False, weakref=True):
    """One inference request; written once by the model middleware, read by everyone inside of it.

    `requested_model` is what the client wrote; `model` is what serves it and what profiles, limits and metrics are
    keyed by. `body` is what the engine gets, byte for byte; when `more` is true the rest still waits in `receive`,
    `length` bytes in all if the client says so, and `check` judges each chunk of it: InvalidRequest.
    `repeatable` says whether another pod may be tried. `received` is when `body` was there, by `time.perf_counter`.
    `tenant` is whose cached prefixes the request may share; empty: anybody's. `release` hears of `let_go`.
    """

    model: str
    requested_model: str
    path: str = "/v1/chat/completions"
    body: bytes | bytearray = b""
    fields: RequestFields
    headers: Mapping[bytes, bytes] = {}
    user: str | None = None
    tenant: str = ""
    more: bool = False
    check: Callable[[bytes], None] | None = None
    length: int | None = None
    repeatable: bool = True
    received: float = 0.0
    release: Callable[[], None] | None = None
    _prompt: bytes | None = None
    _spent: int = 0

    @property
    def stream(self) -> bool:
        """Whether the client wants the answer in pieces."""
        return self.fields.stream is True

    def header(self, name: bytes) -> bytes | None:
        """Value of a header; `name` in lower case."""
        return self.headers.get(name)

    @property
    def prompt(self) -> bytes:
        """The text that routing looks at: raw JSON of `tools`, then of `messages`, `prompt` or `input`."""
        if self._prompt is None:
            fields = self.fields
            asked = _given(fields.messages) or _given(fields.prompt) or _given(fields.input)
            self._prompt = _given(fields.tools) + asked
        return self._prompt

    @property
    def prompt_tokens(self) -> int:
        """Estimated prompt tokens: a token per four bytes of the prompt, rounded up."""
        if self._prompt is not None:
            return -(-len(self._prompt) // 4)
        fields = self.fields  # every request is weighed, most prompts are never looked at: no copy is made
        size = _size(fields.messages) or _size(fields.prompt) or _size(fields.input)
        return -(-(_size(fields.tools) + size) // 4) or self._spent

    def let_go(self) -> None:
        """Drop a large body, and the prompt with it: the answer has begun, and nobody will send them again."""
        if self.release is None or len(self.body) < LARGE_BYTES:
            return
        fields, self._spent = self.fields, self.prompt_tokens
        self.fields = RequestFields(
            fields.model,
            fields.stream,
            max_tokens=fields.max_tokens.copy(),
            max_completion_tokens=fields.max_completion_tokens.copy(),
            max_output_tokens=fields.max_output_tokens.copy(),
        )
        self.body, self._prompt = b"", None
        self.release()

    @property
    def previous_response_id(self) -> bytes:
        """Raw JSON of the field, empty when the client gives none."""
        return _given(self.fields.previous_response_id)

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the client allows at most; None when it does not say so in a whole number."""
        fields = self.fields
        for raw in (fields.max_tokens, fields.max_completion_tokens, fields.max_output_tokens):
            text = _given(raw)
            if text:
                return int(text) if text.isdigit() and len(text) < 19 else None
        return None


def _given(raw: msgspec.Raw) -> bytes:
    """The raw value; a null is as good as an absent field."""
    text = bytes(raw)
    return b"" if text == b"null" else text


def _size(raw: msgspec.Raw) -> int:
    """Bytes of the raw value; a null is as good as an absent field."""
    size = len(raw)
    return 0 if size == 4 and bytes(raw) == b"null" else size
