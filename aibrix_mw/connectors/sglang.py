"""SGLang's bootstrap: both pods are told the same room of the prefill pod's bootstrap server, at the same time."""

from random import Random
from typing import ClassVar

import msgspec

from aibrix_mw.connectors.base import Connector, as_edits
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.pods.roles import bootstrap_port
from aibrix_mw.splice import Edits

_ROOM_BITS = 63  # a non-negative int64


class Sglang(Connector):
    """The decode pod waits in the room until the prefill pod hands over there."""

    together: ClassVar[bool] = True
    keys = frozenset({"bootstrap_host", "bootstrap_port", "bootstrap_room"})

    def to_prefill(self, prefill: PodInfo, rng: Random) -> Edits:
        """Host, port and a fresh room."""
        assert prefill.address is not None
        return as_edits(
            {
                "bootstrap_host": msgspec.json.encode(prefill.address.host),
                "bootstrap_port": b"%d" % bootstrap_port(prefill),
                "bootstrap_room": b"%d" % rng.getrandbits(_ROOM_BITS),
            }
        )

    def to_decode(self, prefill: PodInfo, sent: Edits, answer: bytes) -> Edits:
        """The same three."""
        return {key: sent[key] for key in sorted(self.keys)}
