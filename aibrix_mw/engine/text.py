"""Text to tokens and back, and text out of nothing: no tokeniser and no model, only their arithmetic.

A token is a piece of four bytes of UTF-8, about what a real tokeniser yields for English; its id is that piece read as
a little-endian number, so that ids turn back into text.
"""

import math
import struct
from collections.abc import Iterable, Sequence

import xxhash

TOKEN_BYTES = 4
MASK64 = (1 << 64) - 1

VOCABULARY = (
    "able again air all also an and any as at back be been before blue both but by can clear close cold come day deep "
    "do down each early earth even far few field find first for from full give go good great green ground hand has he "
    "here high hill home if in into is it just keep kind know land large last late leaf left light like line little "
    "long look made main make many may mind more most move much name near new next night no not now of off old on one "
    "open or other our out over own part path place plain point rain red right river road round said same sea see she "
    "side sky slow small so some soon sound stone such sun take than that the their then there they this time to tree "
    "true turn two under up us very walk warm was water way we well were what when where which white who will wind with"
)
WORDS = VOCABULARY.split()


def count_tokens(data: bytes) -> int:
    """Tokens of the text, its last one maybe shorter."""
    return -(-len(data) // TOKEN_BYTES)


def to_ids(data: bytes) -> list[int]:
    """Give the token ids of the text, each below 2**32."""
    return [int.from_bytes(data[at : at + TOKEN_BYTES], "little") for at in range(0, len(data), TOKEN_BYTES)]


def from_ids(ids: Iterable[int]) -> bytes:
    """Give the text of token ids, NUL-padded to whole tokens; `ValueError` for an id that is none."""
    try:
        return b"".join(number.to_bytes(TOKEN_BYTES, "little") for number in ids)
    except OverflowError:
        raise ValueError("token ids are numbers from 0 to 4294967295") from None


def digest(data: bytes, seed: int) -> int:
    """Boil a prompt down to the 64-bit number that fixes its answer."""
    return xxhash.xxh64_intdigest(data, seed & MASK64)


def word(prompt_digest: int, position: int) -> str:
    """Give the output token at a position; all but the first begin with a space, as real ones do."""
    choice = WORDS[xxhash.xxh64_intdigest(position.to_bytes(8, "little"), prompt_digest) % len(WORDS)]
    return choice if position == 0 else f" {choice}"


def embedding(data: bytes, seed: int, dimensions: int) -> list[float]:
    """Give a vector of length 1 that depends on text and seed alone; vectors of different texts are unrelated."""
    start = digest(data, seed)
    raw = [xxhash.xxh64_intdigest(axis.to_bytes(8, "little"), start) / MASK64 - 0.5 for axis in range(dimensions)]
    # Never 0: each of the hashes would have to be exactly the middle of 64 bits.
    norm = math.sqrt(sum(value * value for value in raw))
    return [value / norm for value in raw]


def pack_floats(vector: Sequence[float]) -> bytes:
    """Give the little-endian float32 bytes behind an embedding in base64."""
    return struct.pack(f"<{len(vector)}f", *vector)


def block_hashes(data: bytes, block_tokens: int, seed: str) -> tuple[int, ...]:
    """Hash the full blocks of a prompt, each with all before it, so that equal hashes mean equal prefixes.

    `seed` keeps apart what must not share a cache (models, adapters, salts). A last, partial block has no hash.
    """
    step = block_tokens * TOKEN_BYTES
    chain = xxhash.xxh64_intdigest(seed.encode())
    hashes = []
    for end in range(step, len(data) + 1, step):
        chain = xxhash.xxh64_intdigest(data[end - step : end], chain)
        hashes.append(chain)
    return tuple(hashes)
