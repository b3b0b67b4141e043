"""The rows of keys and users."""

from pathlib import Path

from aibrix_mw.limiting.quota import Quota
from tests.refusal import Refusal
from tests.support import CHAT

KEYS = {"auth": {"keys_file": str(Path(__file__).parent / "data" / "keys.yaml")}}


def over(kind, **asked):
    """A user whose limit of the minute has just been used up."""

    def use_up(gateway):
        limiter = gateway.counting.limiter
        limiter.windows.clock = lambda: 600.0
        limiter.take_now((Quota(f"{{user:al}}:{kind}", 1, 60.0),))

    return Refusal(
        f"user over {kind}",
        429,
        f"user: al has exceeded {kind.upper()}: 1",
        "rate_limit_exceeded",
        "user_limited",
        answer_headers={f"x-error-{kind}-exceeded": "true", "retry-after": "60"},
        profile="default",
        gateway={"users": {"records": {"al": {kind: 1}}}, "prepare": use_up},
        headers=[(b"user", b"al")],
        **asked,
    )


ACCESS = [
    Refusal(
        "no key",
        401,
        "Incorrect API key provided",
        "invalid_api_key",
        "unauthorized",
        answer_headers={"www-authenticate": "Bearer"},
        gateway=KEYS,
    ),
    Refusal(
        "a key for another model",
        403,
        "model m is not allowed for this key",
        "model_not_allowed",
        "unauthorized",
        profile="default",
        gateway=KEYS,
        headers=[(b"authorization", b"Bearer sk-test-few")],
    ),
    over("rpm"),
    over("tpm", path=CHAT),
]
