"""Counts of tokens, and what engines call them."""

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request: `input` with those that came from a cache, which `cached` counts again."""

    input: int = 0
    output: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input + self.output

    def or_more(self, other: "Usage") -> "Usage":
        """The larger count of each kind."""
        return Usage(max(self.input, other.input), max(self.output, other.output), max(self.cached, other.cached))


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Fields(msgspec.Struct):
    """The names that count: OpenAI's of completions and of responses, and Anthropic's.

    Anthropic's input leaves out what was read from a cache or written to it.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


_decode = msgspec.json.Decoder(_Fields).decode


def parse_usage(text: bytes) -> Usage | None:
    """The counts of a `usage` object; None when it is malformed or counts no tokens."""
    try:
        fields = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    output = fields.completion_tokens if fields.completion_tokens is not None else fields.output_tokens
    given = fields.prompt_tokens if fields.prompt_tokens is not None else fields.input_tokens
    if given is None and output is None and fields.total_tokens is None:
        return None
    if given is None and fields.total_tokens is not None:  # rankers report no more than this
        given = fields.total_tokens - (output or 0)
    read, written = fields.cache_read_input_tokens or 0, fields.cache_creation_input_tokens or 0
    details = fields.prompt_tokens_details or fields.input_tokens_details
    cached = read + ((details.cached_tokens or 0) if details is not None else 0)
    return Usage(max((given or 0) + read + written, 0), max(output or 0, 0), max(cached, 0))
