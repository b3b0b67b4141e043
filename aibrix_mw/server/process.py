"""The served process: two listeners on one event loop, signals, drain.

The application owns the signals, because a plain ASGI server closes its listener at once and refuses the requests that
are still on their way.
"""

import asyncio
import logging
import resource
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from aibrix_mw.app import Gateway
from aibrix_mw.server.bounds import Bounds
from aibrix_mw.server.heap import keep_whole, search_rarely
from aibrix_mw.server.listener import Listener
from aibrix_mw.settings import Settings

logger = logging.getLogger("aibrix_mw")

_DESCRIPTORS_KEPT_BACK = 256
_LAST_WORDS_SECONDS = 0.5


class Server:
    """Serves one gateway until a signal ends it."""

    def __init__(self, gateway: Gateway) -> None:
        listen, limits = gateway.settings.listen, gateway.settings.limits
        self.gateway = gateway
        self.client = Listener(
            gateway.stack,  # the life of the gateway is `run`, not the server's lifespan
            listen.host,
            listen.port,
            bounds=Bounds(
                listen.header_timeout,
                listen.body_timeout,
                limits.max_header_bytes,
                limits.max_headers,
                # the layer that counts requests, which these never become
                next(layer.refused for layer in gateway.layers.values() if hasattr(layer, "refused")),
            ),
            timeout_keep_alive=listen.keep_alive,
            ssl_certfile=listen.tls_cert_file,
            ssl_keyfile=listen.tls_key_file,
            backlog=4096,
        )
        self.admin = Listener(gateway.admin, listen.admin_host, listen.admin_port, "listen.admin_port")
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, on_ready: Callable[["Server"], None] | None = None) -> None:
        """Serve until `stop`, then drain. ConfigurationError when there is nothing to listen on.

        Signals are left alone until the listeners are open: before that there is nothing to drain.
        """
        async with self.gateway.running():
            await self.admin.open()
            await self.client.open()
            self._take_signals()
            if on_ready is not None:
                on_ready(self)
            await self._stop.wait()
            await self._drain()
        self.admin.close()

    def stop(self) -> None:
        """Begin to drain; the second time, do not wait any longer."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _drain(self) -> None:
        """Fail readiness first, serve on while load balancers notice, then let what is under way finish."""
        shutdown = self.gateway.settings.shutdown
        lifecycle = self.gateway.lifecycle
        lifecycle.draining = True
        logger.info("draining: not ready from now on, listening for %g s more", shutdown.delay)
        await self._unless_hurried(self._hurry.wait(), shutdown.delay)
        lifecycle.closing = True
        self.client.close()
        if not await self._unless_hurried(self.client.finished(), shutdown.grace):
            logger.warning("draining: %d connections are cut", len(self.client.server_state.connections))
            self.gateway.room.close()
            await self.gateway.upstream.aclose()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.client.finished(), _LAST_WORDS_SECONDS)
            self.client.abort()

    async def _unless_hurried(self, wait: Coroutine[Any, Any, object], seconds: float) -> bool:
        """Wait for something for a time, less when hurried; whether it came."""
        awaited = asyncio.ensure_future(wait)
        hurried = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((awaited, hurried), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return awaited.done()
        finally:
            awaited.cancel()
            hurried.cancel()


def in_flight_cap(settings: Settings) -> int:
    """Raise the soft limit of descriptors; gives how many requests fit: each takes two, some are kept back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(min(settings.limits.max_in_flight, (soft - _DESCRIPTORS_KEPT_BACK) // 2), 1)


def serve_gateway(gateway: Gateway, on_ready: Callable[[Server], None] | None = None) -> None:
    """Serve the gateway on its two ports until SIGTERM or SIGINT; on uvloop."""
    keep_whole()
    search_rarely()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Server(gateway).run(on_ready))


def new_loop() -> asyncio.AbstractEventLoop:
    """The event loop that a gateway is served on."""
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
