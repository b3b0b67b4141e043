"""What clients send: request bodies, checked as vLLM would and boiled down to what the simulation needs."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec

from aibrix_mw.engine import text
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.refusals import ApiError, bad_request
from aibrix_mw.engine.scheduler import Job
from aibrix_mw.engine.transfers import KvTransferParams

MAX_DIMENSIONS = 4096
T = TypeVar("T")
Tokens = list[int]


class StreamOptions(msgspec.Struct):
    """How to stream."""

    include_usage: bool | None = None


class Generation(msgspec.Struct, kw_only=True):
    """What chat and text completions have in common. Sampling parameters are accepted and make no difference."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    cache_salt: str | None = None
    kv_transfer_params: KvTransferParams | None = None

    def prompt_bytes(self) -> bytes:
        """Give the text that the model would see."""
        raise NotImplementedError


class Message(msgspec.Struct):
    """One turn of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatRequest(Generation, kw_only=True):
    """Body of `/v1/chat/completions`."""

    messages: list[Message]
    tools: list[Any] | None = None

    def prompt_bytes(self) -> bytes:
        """Render the conversation."""
        return render(self.messages, self.tools)


class CompletionRequest(Generation, kw_only=True):
    """Body of `/v1/completions`."""

    prompt: str | list[str | int | Tokens]

    def prompt_bytes(self) -> bytes:
        """Give the one prompt, whichever way it is written."""
        prompts = as_texts(self.prompt, "prompt")
        if len(prompts) != 1 or not prompts[0]:
            raise bad_request("The simulated engine takes one prompt a request, and not an empty one.", "prompt")
        return prompts[0]


class TokenizeRequest(msgspec.Struct, kw_only=True):
    """Body of `/tokenize`: a prompt or a conversation."""

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[Any] | None = None

    def prompt_bytes(self) -> bytes:
        """Give the text to cut into tokens; 400 if there is none."""
        if self.messages is not None:
            return render(self.messages, self.tools)
        if self.prompt is None:
            raise bad_request("Either prompt or messages is needed.", "prompt")
        return self.prompt.encode()


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """Body of `/v1/embeddings`."""

    input: str | list[str | int | Tokens]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class DetokenizeRequest(msgspec.Struct, kw_only=True):
    """Body of `/detokenize`."""

    tokens: Tokens
    model: str | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for text, checked and complete."""

    model: str
    digest: int
    job: Job
    reason: str
    stream: bool
    include_usage: bool
    transfer: KvTransferParams


def decode(body: bytes, kind: type[T]) -> T:
    """Read a JSON body; 400 for anything else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except ValueError as error:
        raise bad_request(f"The body is not valid: {error}") from error


def render(messages: list[Message], tools: list[Any] | None) -> bytes:
    """Give a conversation as one text, with a small chat template."""
    head = [b"<|tools|>\n" + msgspec.json.encode(tools) + b"\n"] if tools else []
    turns = [f"<|{message.role}|>\n{flatten(message.content)}\n".encode() for message in messages]
    return b"".join([*head, *turns, b"<|assistant|>\n"])


def flatten(content: str | list[dict[str, Any]] | None) -> str:
    """Give the text of a message; parts other than text count as their JSON."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text") or msgspec.json.encode(part).decode()) for part in content)


def as_texts(given: str | Sequence[str | int | Tokens], param: str) -> list[bytes]:
    """Give the texts in any of the four ways of writing them: text, texts, token ids, lists of token ids."""
    try:
        if isinstance(given, str):
            return [given.encode()]
        ids = [item for item in given if isinstance(item, int)]
        texts = [item for item in given if not isinstance(item, int)]
        if ids and texts:
            raise ValueError("texts and token ids do not mix")
        if ids:
            return [text.from_ids(ids)]
        return [item.encode() if isinstance(item, str) else text.from_ids(item) for item in texts]
    except ValueError as error:
        raise bad_request(str(error), param) from error


def check_model(model: str | None, options: EngineOptions) -> str:
    """Give the model that a request means: the one it names, or the engine's own; 404 if it is not served."""
    if model is None:
        return options.model
    if not options.serves(model):
        raise ApiError(404, f"The model `{model}` does not exist.", type="NotFoundError", param="model")
    return model


def read_generation(body: bytes, kind: type[Generation], options: EngineOptions) -> Ask:
    """Check a request for text: 400, or 404 for its model."""
    request = decode(body, kind)
    model = check_model(request.model, options)
    if request.n not in (None, 1):
        raise bad_request("The simulated engine makes one choice a request.", "n")
    prompt = request.prompt_bytes()
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    tokens = text.count_tokens(prompt)
    max_tokens = answer_tokens(limit, tokens, options)
    hashes = text.block_hashes(prompt, options.block_tokens, f"{model}\0{request.cache_salt or ''}")
    return Ask(
        model=model,
        digest=text.digest(prompt, options.seed),
        job=Job(tokens, max_tokens, hashes),
        reason="stop" if limit is None else "length",
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        transfer=request.kv_transfer_params or KvTransferParams(),
    )


def answer_tokens(limit: int | None, prompt_tokens: int, options: EngineOptions) -> int:
    """Give the exact length of the answer; 400 if it cannot be."""
    room = options.max_model_len - prompt_tokens
    wanted = min(options.default_max_tokens, room) if limit is None else limit
    if limit is not None and limit < 1:
        raise bad_request(f"max_tokens must be at least 1, got {limit}.", "max_tokens")
    if room < 1 or wanted > room:
        raise too_long(prompt_tokens, max(wanted, 1), options)
    return wanted


def too_long(prompt_tokens: int, answer: int, options: EngineOptions) -> ApiError:
    """Make the 400 for what does not fit into the KV cache."""
    return bad_request(
        f"This model's maximum context length is {options.max_model_len} tokens. However, you requested "
        f"{prompt_tokens + answer} tokens ({prompt_tokens} in the prompt, {answer} for the answer)."
    )


def tokenize(body: bytes, options: EngineOptions) -> dict[str, Any]:
    """Answer `/tokenize`."""
    request = decode(body, TokenizeRequest)
    check_model(request.model, options)
    ids = text.to_ids(request.prompt_bytes())
    return {"count": len(ids), "max_model_len": options.max_model_len, "tokens": ids, "token_strs": None}


def detokenize(body: bytes, options: EngineOptions) -> dict[str, Any]:
    """Answer `/detokenize`; ids that are no text come out as replacement characters."""
    request = decode(body, DetokenizeRequest)
    check_model(request.model, options)
    data = b"".join(as_texts(request.tokens, "tokens"))
    return {"prompt": data.rstrip(b"\0").decode("utf-8", "replace")}


def read_embedding(body: bytes, options: EngineOptions) -> tuple[EmbeddingRequest, str, list[bytes]]:
    """Check a request for vectors: the request, the model that it means, the texts; 400, or 404 for its model."""
    request = decode(body, EmbeddingRequest)
    model = check_model(request.model, options)
    if request.dimensions is not None and not 1 <= request.dimensions <= MAX_DIMENSIONS:
        raise bad_request(f"dimensions must be 1 to {MAX_DIMENSIONS}, got {request.dimensions}.", "dimensions")
    texts = as_texts(request.input, "input")
    if not texts:
        raise bad_request("input must not be empty.", "input")
    tokens = sum(map(text.count_tokens, texts))
    if tokens > options.max_model_len:
        raise too_long(tokens, 0, options)
    return request, model, texts
