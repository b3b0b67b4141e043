"""One port that is listened on."""

import asyncio
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.server.bounds import Bounds
from aibrix_mw.server.protocol import GatewayProtocol


class Listener(uvicorn.Server):
    """One uvicorn server whose start and stop somebody else decides.

    `setting` is where its port comes from, `bounds` what a client may take of a connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str | None,
        port: int,
        setting: str = "listen.port",
        bounds: Bounds | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.setting = setting
        self.bounds = bounds or Bounds()
        self.servers = []
        super().__init__(
            uvicorn.Config(
                app,
                host=host,  # type: ignore[arg-type]  # None: all addresses of both families
                port=port,
                http="httptools",
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
                self._protocol,
                config.host,
                config.port,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=self.bounds.header_timeout if config.is_ssl else None,
            )
        except OSError as error:
            raise ConfigurationError([Fault(self.setting, f"cannot listen: {error.strerror or error}")]) from None
        self.servers = [server]

    def _protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, GatewayProtocol(self.config, self.server_state, bounds=self.bounds))

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
        """End all connections now, also those whose clients do not read what is still to be sent."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
