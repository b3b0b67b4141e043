"""Whether a client has sent what nobody has read yet."""

import asyncio
import sys
from fcntl import ioctl
from termios import FIONREAD


def has_unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes of the client; False where there is no socket.

    To close such a connection resets it: the client loses a request that it could not know to be too late.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    return int.from_bytes(ioctl(sock.fileno(), FIONREAD, bytes(4)), sys.byteorder) > 0
