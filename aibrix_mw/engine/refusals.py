"""How vLLM says no: one exception, one JSON shape."""

import msgspec
from starlette.responses import Response


class ApiError(Exception):
    """An answer instead of a result, in vLLM's shape."""

    def __init__(self, status: int, message: str, *, type: str, param: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": type, "param": param, "code": status}}

    def response(self) -> Response:
        """Give the answer."""
        return json_response(self.body, self.status)


def json_response(body: object, status: int = 200) -> Response:
    """Answer JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def bad_request(message: str, param: str | None = None) -> ApiError:
    """Make a 400 as vLLM words it."""
    return ApiError(400, message, type="BadRequestError", param=param)
