"""What one simulated engine is: its names, its speed, its memory."""

import msgspec


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed properties of a simulated engine.

    Raises `ValueError`, naming the field, for a value that no engine could have.
    """

    models: tuple[str, ...]
    """Served names. The first is *the* name (label of the metrics, parent of the adapters), the others are aliases."""
    adapters: tuple[str, ...] = ()
    """Names of LoRA adapters, listed and served beside the models; each has a prefix cache of its own."""
    name: str = "sim"
    """Who answers, such as a pod's name: in the `x-sim-engine` header, the `system_fingerprint` and `/sim/state`."""
    seed: int = 0
    """Chooses the words: equal seed and prompt give an equal answer."""
    load_seconds: float = 0.0
    """Seconds from creation until the model counts as loaded; until then `/health` and inference answer 503."""
    prefill_tokens_per_second: float = 8000.0
    """Prompt tokens computed per second and request; cached ones cost nothing. `math.inf`: no time at all."""
    decode_tokens_per_second: float = 50.0
    """Output tokens per second and request after the first one, which ends the prefill. `math.inf`: no time at all."""
    max_running: int = 16
    """Requests computed at the same time; the others wait, first come, first served."""
    kv_blocks: int = 8192
    """KV cache size in blocks. A running request holds the blocks of its prompt and of all tokens it may generate."""
    block_tokens: int = 16
    """Tokens per KV block, the grain of the prefix cache."""
    default_max_tokens: int = 16
    """Output tokens of a request that sets no limit; such an answer ends with `stop`, a limited one with `length`."""

    def __post_init__(self) -> None:
        """Check every field."""
        if not self.models or not all((*self.models, *self.adapters)):
            raise ValueError("models: at least one name, none of them empty")
        if not (self.name.isascii() and self.name.isprintable() and self.name.strip()):
            raise ValueError("name: printable ASCII, since it is sent in a header")
        if not self.load_seconds >= 0:
            raise ValueError("load_seconds: 0 or more")
        positive = ("prefill_tokens_per_second", "decode_tokens_per_second", "max_running")
        for field in (*positive, "kv_blocks", "block_tokens", "default_max_tokens"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}: more than 0")

    @property
    def model(self) -> str:
        """The name under which the metrics run."""
        return self.models[0]

    @property
    def max_model_len(self) -> int:
        """Longest prompt plus answer, in tokens: what fits into an otherwise empty KV cache."""
        return self.kv_blocks * self.block_tokens

    def serves(self, model: str) -> bool:
        """Whether a request may name this model."""
        return model in self.models or model in self.adapters
