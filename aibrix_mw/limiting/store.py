"""Where counts live: a `limits` storage by its URL."""

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.redis import RedisWindows

IN_PROCESS = ("memory://", "async+memory://")


def open_windows(
    store: Any = None,  # noqa: ANN401 - a URL, any storage of limits, or None
    *,
    namespace: str = "aibrix_mw",
    **connection: Any,  # noqa: ANN401 - as connect() has them
) -> MemoryWindows | RedisWindows:
    """Windows in a store: a URL, an asynchronous storage of `limits`, or None for counts of this process alone.

    URLs are redis://, rediss://, valkey://, redis+sentinel://HOST:PORT,.../SERVICE, redis+cluster://HOST:PORT,... and
    memory://. Nothing is connected before the first call. ConfigurationError where that cannot work.
    """
    if store is None or store in IN_PROCESS:
        return MemoryWindows(_memory())
    if isinstance(store, str):
        store = connect(store, **connection)
    if hasattr(store, "expirations") and hasattr(store, "storage"):
        return MemoryWindows(store)
    if hasattr(getattr(store, "bridge", None), "get_connection"):
        return RedisWindows(store, namespace=namespace)
    kind = type(store).__qualname__
    raise _unusable(f"{kind} cannot take and give back in one step: use a memory, redis (redispy) or valkey storage")


def open_limiter(store: Any = None, **options: Any) -> Limiter | SharedLimiter:  # noqa: ANN401
    """A limiter over `open_windows(store)`; `options` are those of SharedLimiter, without use to counts in process."""
    windows = store if isinstance(store, RedisWindows) else open_windows(store)
    if isinstance(windows, MemoryWindows):
        return Limiter(windows)
    return SharedLimiter(windows, MemoryWindows(_memory()), **options)


def connect(
    url: str,
    *,
    username: str | None = None,
    password: Callable[[], str] | None = None,
    ca_file: str | None = None,
    timeout: float = 0.05,
) -> Any:  # noqa: ANN401 - limits has a class for each scheme
    """A storage of `limits` for the URL, which connects at the first call; `password` is asked at every connection."""
    scheme = url.removeprefix("async+").partition("://")[0]
    library = "valkey" if scheme.startswith("valkey") else "redis"
    options: dict[str, Any] = {"implementation": "redispy"} if library == "redis" else {}
    options |= _login(username, password)
    if ca_file is not None:
        options |= {"ssl_ca_certs": ca_file} | ({"ssl": True} if "+" in scheme else {})
    if scheme.endswith("+sentinel"):
        # a sentinel that hangs must leave time for the next one; they take the store's own login
        bounds = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        options |= bounds | {"sentinel_kwargs": bounds | _login(username, password)}
    return _storage(url, scheme, library, options)


def _storage(url: str, scheme: str, library: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    from limits.errors import ConfigurationError as LimitsError
    from limits.storage import storage_from_string

    try:
        # the client's own default is to try for seconds; one more try is for connections that the store has closed
        no_backoff = importlib.import_module(f"{library}.backoff").NoBackoff()
        retry = importlib.import_module(f"{library}.asyncio.retry").Retry(no_backoff, 1)
        return storage_from_string(f"async+{_with_port(url.removeprefix('async+'))}", retry=retry, **options)
    except ImportError:
        raise _unusable(f"needs the {library} client: pip install 'aibrix-mw[redis]'") from None
    except (LimitsError, ValueError, TypeError) as error:
        # the URL may have a password in it
        raise _unusable(str(error).replace(url, f"{scheme}://***").replace(f"async+{scheme}", scheme)) from None


def _with_port(url: str) -> str:
    """The URL with the port that everybody means who names none."""
    with suppress(ValueError):  # what is no port is told by who reads the URL next
        parts = urlsplit(url)
        if parts.hostname and parts.port is None and "+" not in parts.scheme:
            return parts._replace(netloc=f"{parts.netloc.removesuffix(':')}:6379").geturl()
    return url


class _Credentials:
    """What redis-py and valkey-py ask for credentials: a password file may change while the gateway runs."""

    def __init__(self, username: str | None, password: Callable[[], str]) -> None:
        self.username = username
        self.password = password

    def get_credentials(self) -> tuple[str, ...]:
        return (self.password(),) if self.username is None else (self.username, self.password())

    async def get_credentials_async(self) -> tuple[str, ...]:
        return self.get_credentials()


def _login(username: str | None, password: Callable[[], str] | None) -> dict[str, Any]:
    if password is not None:
        return {"credential_provider": _Credentials(username, password)}
    return {} if username is None else {"username": username}


def _memory() -> Any:  # noqa: ANN401
    """A storage of `limits` for counts of this process."""
    # a tenth of a second, which only those pay who count
    from limits.aio.storage import MemoryStorage

    return MemoryStorage()


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError([Fault("store.url", reason)])
