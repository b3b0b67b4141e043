"""Where the load goes."""

import re

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.pod import Address
from aibrix_mw.pods.static import parse_endpoint

APIS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_PARTS = re.compile(r"(https?://[^/?#]+)([^?#]*)", re.IGNORECASE)


class Target(msgspec.Struct, frozen=True):
    """An OpenAI-compatible server: its address, what stands before `/v1` in its paths, and the API to use."""

    address: Address
    prefix: str
    api: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """Where requests for text go."""
        return self.prefix + APIS[self.api]

    @property
    def models_path(self) -> str:
        """Where the models are listed."""
        return f"{self.prefix}/v1/models"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http{'s' if self.address.tls else ''}://{self.address.netloc}{self.prefix}"


def parse_target(url: str, api: str, headers: tuple[tuple[str, str], ...] = ()) -> Target:
    """The target that `http(s)://host[:port][/prefix][/v1]` means; ConfigurationError for anything else."""
    match = _PARTS.fullmatch(url)
    if match is None:
        raise ConfigurationError([Fault(url, "not http(s)://host[:port], with the path before /v1 if there is one")])
    prefix = match[2].rstrip("/").removesuffix(APIS[api]).removesuffix("/v1")
    return Target(parse_endpoint(match[1]), prefix, api, headers)
