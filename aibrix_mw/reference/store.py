"""Keys in the store, and the least that its user must be allowed."""

from aibrix_mw.reference.markdown import Section, code, table
from aibrix_mw.settings import StoreSettings

KEYS = {
    "{namespace}:v1:{{MODEL}}:profile:NAME:SECONDS": "What a profile's limit has counted; lives a window and a second.",
    "{namespace}:v1:{{MODEL}}:model:1": "What the limit of all profiles has counted.",
    "{namespace}:v1:{{user:NAME}}:rpm:60": "Requests of a user in this minute; `tpm` for tokens.",
    "{namespace}:v1:{{check}}:1": "Written once at the start, to see whether counting is permitted.",
    "{namespace}:v1:{{shared}}:gateways": "Ids of the gateways that were here within a minute.",
    "{namespace}:v1:{{shared}}:gateway:ID": "What a gateway has in flight and charged; lives 1.2 s.",
    "{namespace}:v1:{{shared}}:gateway:ID:bulletin": "What it has scraped of engines; lives 1.2 s.",
    "aibrix-users/NAME": 'A user\'s record, `aibrix-mw users`: `{{"name", "rpm", "tpm"}}`, as AIBrix has it.',
}
COUNTING = "+evalsha +script|load +get +set +time"
SHARING = "+hset +hgetall +pexpire +expire +sadd +srem +smembers +del +multi +exec"


def section() -> Section:
    """Keys and ACL."""
    namespace = StoreSettings().namespace
    rows = [(code(key.format(namespace=namespace)), meaning.format()) for key, meaning in KEYS.items()]
    return Section(
        "Store",
        "With `store.url` replicas count limits together, and tell each other what they have in flight. Keys begin "
        "with `store.namespace`; braces are hash tags: what is taken in one step lives on one node of a cluster.\n\n"
        f"{table(('key', 'meaning'), rows)}\n"
        "The user that gateways need, as an ACL; `aibrix-mw users` needs `+set +del +scan` on the records too:\n\n"
        f"```text\nuser gateway on >PASSWORD ~{namespace}:* ~aibrix-users/* {COUNTING} {SHARING}\n```",
    )
