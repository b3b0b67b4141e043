"""What the bodies of all requests take together."""

from aibrix_mw.errors import Unavailable


class Buffered:
    """How many bytes of bodies may be held; `room` is what is left of `limit`."""

    __slots__ = ("limit", "room")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.room = limit

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self.limit - self.room

    def refuse(self) -> None:
        """Unavailable: there is no room for more."""
        raise Unavailable("too many bytes of request bodies are held already")
