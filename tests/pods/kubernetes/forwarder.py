"""A wire between the gateway and whatever API server there is: it can be cut, and it can go dead."""

import asyncio
from contextlib import suppress
from typing import Any


class Forwarder:
    """Forwards TCP connections from a port of its own."""

    def __init__(self, host, port):
        self.target = host, port
        self.port = 0
        self.server: Any = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.accepted = 0
        self._writers = set()
        self._tasks = set()

    async def open(self):
        """Listen, on the same port as before."""
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def cut(self):
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def away(self):
        """Refuse new connections and reset those that are."""
        self.server.close()
        self.cut()

    async def aclose(self):
        self.flowing.set()
        if self.server is not None:
            self.away()
        await asyncio.gather(*self._tasks)

    async def _accept(self, reader, writer):
        self.accepted += 1
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        upstream = None
        try:
            there, upstream = await asyncio.open_connection(*self.target, limit=2**20)
            self._writers.add(upstream)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, upstream))
                tasks.create_task(self._pump(there, writer))
        except (OSError, ExceptionGroup):
            writer.transport.abort()
        finally:
            for end in (writer, upstream):
                if end is not None:
                    self._writers.discard(end)
                    end.close()

    async def _pump(self, reader, writer):
        with suppress(ConnectionError):
            while chunk := await reader.read(2**16):
                await self.flowing.wait()
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.transport.abort() if writer.transport.is_closing() else writer.write_eof()
