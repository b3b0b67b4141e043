"""The API server through the official client: credentials, addresses and TLS are its business, the bytes are ours.

Its model objects are never built: 5,000 pods of them would hold up the event loop for seconds.
"""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException

from aibrix_mw.pods.kubernetes.answers import Away, Refused, failure
from aibrix_mw.pods.kubernetes.credentials import load_credentials
from aibrix_mw.settings import KubernetesSettings

Query = Sequence[tuple[str, str]]

CONNECT_TIMEOUT = 5.0
# a dead peer is noticed by the kernel after 10 + 3 x 10 s
_KEEPALIVE = ((socket.SO_KEEPALIVE, 1),)
_KEEPALIVE_TCP = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class ApiServer:
    """An API server that `connect` has found; `namespace` is the one that the credentials name."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self.settings = settings
        self.namespace = "default"
        self._client: ApiClient | None = None

    async def connect(self) -> None:
        """Read addresses and credentials; no request yet. ConfigurationError says what is missing."""
        configuration, self.namespace = await load_credentials(self.settings)
        configuration.connection_pool_maxsize = 0  # every watch holds a connection; 0: as many as needed
        self._client = ApiClient(configuration)
        self._client.rest_client = _RestClient(configuration)
        self._client.user_agent = "aibrix-mw"

    async def refresh(self) -> None:
        """Read the credentials again, because the API server refuses those it got: files and plug-ins rotate them."""
        fresh, _ = await load_credentials(self.settings)
        client = self._opened()
        client.configuration.api_key = fresh.api_key
        client.configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
        if fresh.cert_file:
            client.rest_client.ssl_context.load_cert_chain(fresh.cert_file, keyfile=fresh.key_file)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, namespace: str | None, query: Query, *, idle: float) -> bytes:
        """One page of pods, of all namespaces for None; at most `idle` seconds between two parts of the answer."""
        async with self._pods("list", namespace, query, idle) as response:
            return await response.read()

    @asynccontextmanager
    async def watch(self, namespace: str | None, query: Query, *, idle: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Bytes of a watch as they come; Away when none came for `idle` seconds."""
        async with self._pods("watch", namespace, query, idle) as response:
            yield response.content.iter_any()

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create a Kubernetes Event."""
        path = f"/api/v1/namespaces/{namespace}/events"
        async with self._exchange("POST", path, (), CONNECT_TIMEOUT, event) as response:
            await _check(response, "create", "events", namespace)

    @asynccontextmanager
    async def _pods(
        self, verb: str, namespace: str | None, query: Query, idle: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        path = "/api/v1/pods" if namespace is None else f"/api/v1/namespaces/{namespace}/pods"
        async with self._exchange("GET", path, query, idle) as response:
            await _check(response, verb, "pods", namespace)
            yield response

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, query: Query, idle: float, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its answer, closed at the end; whatever fails in it is a DiscoveryError."""
        client = self._opened()
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle)
        try:
            request = await client.param_serialize(
                method, path, None, list(query), dict(_HEADERS), body, auth_settings=["BearerToken"]
            )
            answer = await client.call_api(*request, _request_timeout=limits)
        except _CREDENTIAL_ERRORS as error:
            raise Refused(0, f"credentials cannot be read: {error}") from error
        except _NETWORK_ERRORS as error:
            raise Away(_named(error)) from error
        try:
            yield answer.response
        except _NETWORK_ERRORS as error:
            raise Away(_named(error)) from error
        finally:
            answer.response.close()

    def _opened(self) -> ApiClient:
        assert self._client is not None, "connect() comes first"
        return self._client


_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
_CREDENTIAL_ERRORS = (ConfigException, FileNotFoundError, PermissionError)


class _RestClient(RESTClientObject):
    """The client's connections, with TCP keep-alive: a watch may be silent for long, and its peer may be gone."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=_kept_alive)


def _kept_alive(address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family=address[0], type=address[1], proto=address[2])
    for option, value in _KEEPALIVE:
        made.setsockopt(socket.SOL_SOCKET, option, value)
    for name, value in _KEEPALIVE_TCP:
        if hasattr(socket, name):  # not on every system
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


async def _check(response: aiohttp.ClientResponse, verb: str, resource: str, namespace: str | None) -> None:
    if response.status >= 300:
        where = "all namespaces" if namespace is None else f"namespace {namespace}"
        retry_after = response.headers.get("retry-after", "")
        raise failure(response.status, verb, resource, where, await response.read(), retry_after)


def _named(error: BaseException) -> str:
    return f"the API server cannot be reached: {str(error) or type(error).__name__}"
