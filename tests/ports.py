"""Ports for what tests start."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port of the loopback address that nobody has now, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.randrange(10_240, 32_768)  # below those that the system gives away
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
