"""Ports for what tests start."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port that nobody has now, at whatever address, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_240, 32_768)  # below those that the system gives away
        with suppress(OSError), socket.create_server(("0.0.0.0", port)):
            return port
