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

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aibrix_mw.app import Gateway
from aibrix_mw.client import ON_DISCONNECT
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings import Settings

logger = logging.getLogger("aibrix_mw")

_DESCRIPTORS_KEPT_BACK = 256
_LAST_WORDS_SECONDS = 0.5


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's protocol, telling the application by a callback that the client has left."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._on_disconnect: Callable[[], None] | None = None
        self._extensions = {ON_DISCONNECT: self.on_disconnect}

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client leaves; None: no longer."""
        self._on_disconnect = callback
        if callback is not None and self.transport.is_closing():
            self.loop.call_soon(self._tell)

    def on_message_begin(self) -> None:
        """Add the extension to the scope."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application."""
        super().connection_lost(exc)
        self._tell()

    def _tell(self) -> None:
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None:
            callback()


class Listener(uvicorn.Server):
    """One uvicorn server whose start and stop somebody else decides; `setting` is where its port comes from."""

    def __init__(
        self,
        app: ASGIApp,
        host: str | None,
        port: int,
        setting: str = "listen.port",
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.setting = setting
        self.servers = []
        super().__init__(
            uvicorn.Config(
                app,
                host=host,  # type: ignore[arg-type]  # None: all addresses of both families
                port=port,
                http=GatewayProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # whom to believe is the gateway's own setting
                server_header=False,
                date_header=False,
                **options,
            )
        )

    async def open(self) -> None:
        """Listen; ConfigurationError when the address or the certificate cannot be had."""
        config = self.config
        try:
            config.load()
        except OSError as error:  # an ssl.SSLError is one too
            reason = f"cannot be used with listen.tls_key_file: {error.strerror or error}"
            raise ConfigurationError([Fault("listen.tls_cert_file", reason)]) from None
        loop = asyncio.get_running_loop()
        try:
            # not uvicorn's own start, which ends the process where this raises
            server = await loop.create_server(
                self._protocol, config.host, config.port, ssl=config.ssl, backlog=config.backlog
            )
        except OSError as error:
            raise ConfigurationError([Fault(self.setting, f"cannot listen: {error.strerror or error}")]) from None
        self.servers = [server]

    def _protocol(self) -> asyncio.Protocol:
        return GatewayProtocol(config=self.config, server_state=self.server_state, app_state={})

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Take no new connection; end those that are idle now, and the others after their answer."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()

    async def finished(self) -> None:
        """Wait until the last connection has ended."""
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)

    def abort(self) -> None:
        """End all connections now."""
        for connection in list(self.server_state.connections):
            connection.transport.close()


class Server:
    """Serves one gateway until a signal ends it."""

    def __init__(self, gateway: Gateway) -> None:
        listen = gateway.settings.listen
        self.gateway = gateway
        self.client = Listener(
            gateway,
            listen.host,
            listen.port,
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
    """Raise the soft limit of descriptors, and say how many requests fit: each takes two, some are kept back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    cap = max(min(settings.limits.max_in_flight, (soft - _DESCRIPTORS_KEPT_BACK) // 2), 1)
    logger.info("at most %d requests in flight (limits.max_in_flight, %d descriptors)", cap, soft)
    return cap


def serve_gateway(gateway: Gateway, on_ready: Callable[[Server], None] | None = None) -> None:
    """Serve the gateway on its two ports until SIGTERM or SIGINT; on uvloop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Server(gateway).run(on_ready))


def new_loop() -> asyncio.AbstractEventLoop:
    """The event loop that a gateway is served on."""
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
