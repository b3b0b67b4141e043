"""The one field of a multipart form that the gateway needs: `model`."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from aibrix_mw.errors import InvalidRequest

_LONGEST_NAME_BYTES = 4096


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary of a multipart form, None for any other content type. InvalidRequest when a form has none."""
    if not content_type.lower().startswith(b"multipart/form-data"):
        return None
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest("the multipart content-type names no boundary")
    return boundary


class FormModel:
    """Looks for the field `model` in a form that arrives in chunks; `model` is None until its part is complete.

    A second part of that name is refused, because engines differ about which one counts. So is a form with anything
    before its first boundary: how it is read depends on how the network cuts it.
    """

    def __init__(self, boundary: bytes) -> None:
        self.model: str | None = None
        self._fed = 0
        self._begin = b"--" + boundary
        self._value = b""
        self._span = (0, 0)
        self._header = b""
        self._header_value = b""
        self._wanted = self._named = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                },
            )
        except FormParserError as error:
            raise InvalidRequest(f"the multipart content-type is not valid: {error}") from None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the form; InvalidRequest when they are none."""
        expected = self._begin[self._fed : self._fed + len(chunk)]
        if not chunk.startswith(expected):
            raise InvalidRequest("the body is not a valid form: it does not begin with its boundary")
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest(f"the body is not a valid form: {error}") from None
        self._fed += len(chunk)

    def renamed(self, body: bytes | bytearray, model: str) -> bytes:
        """The form with another value in the field `model`, all other bytes as they came."""
        start, end = self._span
        return b"".join((body[:start], model.encode(), body[end:]))

    def _begin_part(self) -> None:
        self._wanted = False

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            if options.get(b"name") == b"model":
                self._begin_model(is_file=b"filename" in options)
        self._header = self._header_value = b""

    def _begin_model(self, *, is_file: bool) -> None:
        if self._named:
            raise InvalidRequest("model: given twice", param="model")
        self._named = True
        self._wanted = not is_file

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            return
        if not self._value:
            self._span = (self._fed + start, self._fed + start)
        self._value += data[start:end]
        self._span = (self._span[0], self._span[0] + len(self._value))
        if len(self._value) > _LONGEST_NAME_BYTES:
            raise InvalidRequest("model: too long a name", param="model")

    def _end_part(self) -> None:
        if not self._wanted:
            return
        try:
            self.model = self._value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("model: not UTF-8", param="model") from None
