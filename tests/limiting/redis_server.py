"""Redis proper and Valkey as processes, configured as a test wants them."""

import subprocess
import time
from contextlib import contextmanager

import redis


@contextmanager
def running(folder, port, *options, program="redis-server", arguments=(), **login):
    """Run a server on a port until the end of the block; `login` is for asking it whether it is there."""
    folder.mkdir(exist_ok=True)
    config = folder / "server.conf"
    lines = [f"port {port}", "bind 127.0.0.1", "daemonize no", f"dir {folder}", *options]
    config.write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log, subprocess.Popen([program, config, *arguments], stdout=log) as child:
        try:
            wait_for(port, **login)
            yield child
        finally:
            child.terminate()


def wait_for(port, **login):
    """Wait until a server answers."""
    until = time.monotonic() + 10
    with redis.Redis(port=port, **login) as client:
        while True:
            try:
                return client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.02)
