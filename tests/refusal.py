"""One row of the contract's table of refusals."""

from typing import Any

from aibrix_mw.errors import error_type


class Refusal:
    """One row: what is asked, of which gateway, and what is answered."""

    def __init__(self, name: str, status: int, message: str, code: str, outcome: str, **more: Any) -> None:
        self.name = name
        self.status, self.message, self.code, self.outcome = status, message, code, outcome
        self.param = more.pop("param", None)
        self.answer_headers = more.pop("answer_headers", {})
        self.profile = more.pop("profile", None)
        self.model = more.pop("model", "m" if self.profile else "_unknown")
        self.gateway = more.pop("gateway", {})
        self.ask = more  # body, path, headers, method

    def error(self):
        error = {"message": self.message, "type": error_type(self.status), "code": self.code}
        return {"error": error | ({"param": self.param} if self.param else {})}
