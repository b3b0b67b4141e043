"""Where counts live: a `limits` storage by its URL."""

import importlib
from collections.abc import Callable
from typing import Any

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.redis import RedisWindows

IN_PROCESS = ("memory://", "async+memory://")


def open_windows(
    store: Any = None,  # noqa: ANN401 - a URL, any storage of limits, or None
    *,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | None = None,
    timeout: float = 0.05,
    namespace: str = "aibrix_mw",
    clock: Callable[[], float] | None = None,
) -> MemoryWindows | RedisWindows:
    """Windows in a store: a URL, an asynchronous storage of `limits`, or None for counts of this process alone.

    URLs are redis://, rediss://, redis+sentinel://host:port/service, redis+cluster://host:port,... , valkey://
    and memory://. Nothing is connected before the first call. `timeout` is the seconds of one call. `clock` (seconds
    since the epoch) is for counts in process: a store has its own. ConfigurationError where that cannot work.
    """
    if store is None or store in IN_PROCESS:
        from limits.aio.storage import MemoryStorage

        store = MemoryStorage()
    elif isinstance(store, str):
        store = _connected_to(store, username=username, password=password, ca_file=ca_file, timeout=timeout)
    if hasattr(store, "expirations") and hasattr(store, "storage"):
        return MemoryWindows(store, clock=clock) if clock is not None else MemoryWindows(store)
    bridge = getattr(store, "bridge", None)
    if hasattr(bridge, "get_connection"):
        return RedisWindows(store, namespace=namespace)
    kind = type(store).__qualname__
    raise _unusable(f"{kind} cannot take and give back in one step: use a memory, redis (redispy) or valkey storage")


def _connected_to(url: str, *, ca_file: str | None, timeout: float, **login: str | None) -> Any:  # noqa: ANN401
    """A storage of `limits` for the URL; it connects at the first call."""
    from limits.errors import ConfigurationError as LimitsError
    from limits.storage import storage_from_string

    options: dict[str, Any] = {name: value for name, value in login.items() if value is not None}
    scheme = url.removeprefix("async+").partition("://")[0]
    library = "valkey" if scheme.startswith("valkey") else "redis"
    if library == "redis":
        options["implementation"] = "redispy"
    try:
        # the client's own default is to try for seconds; one more try is for connections that the store has closed
        no_backoff = importlib.import_module(f"{library}.backoff").NoBackoff()
        options["retry"] = importlib.import_module(f"{library}.asyncio.retry").Retry(no_backoff, 1)
        if ca_file is not None:
            options["ssl_ca_certs"] = ca_file
            options |= {"ssl": True} if "+" in scheme else {}
        if scheme.endswith("+sentinel"):
            # a sentinel that hangs must not cost more than its share of the time
            options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout}
            options["sentinel_kwargs"] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        return storage_from_string(url if url.startswith("async+") else f"async+{url}", **options)
    except ImportError:
        raise _unusable(f"needs the {library} client: pip install 'aibrix-mw[redis]'") from None
    except LimitsError as error:
        reason = str(error).replace(url, scheme + "://")
        raise _unusable(f"{reason}: expected e.g. redis://HOST:PORT, redis+sentinel://HOST:PORT/SERVICE") from None
    except (ValueError, TypeError) as error:
        raise _unusable(str(error)) from None


def _unusable(reason: str) -> ConfigurationError:
    return ConfigurationError([Fault("store.url", reason)])
