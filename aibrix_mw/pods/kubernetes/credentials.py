"""Where the API server is and who the gateway is there: in-cluster configuration first, then a kubeconfig."""

import os
from pathlib import Path

from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.documents import load_documents
from aibrix_mw.settings import KubernetesSettings

_PATH = "discovery.kubernetes.kubeconfig"


async def load_credentials(settings: KubernetesSettings) -> tuple[Configuration, str]:
    """The client's configuration, and the namespace that the credentials belong to. ConfigurationError.

    The token of a service account is read again by the client itself as it rotates.
    """
    configuration = Configuration()
    asked = settings.kubeconfig is not None or settings.context is not None
    if not asked and in_cluster():
        try:
            InClusterConfigLoader(SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME).load_and_set(configuration)  # type: ignore[no-untyped-call]
        except (kube_config.ConfigException, OSError) as error:
            raise _fault("discovery.kubernetes", f"in-cluster configuration: {error}") from error
        return configuration, _own_namespace()
    return configuration, await _load_kubeconfig(settings, configuration)


def in_cluster() -> bool:
    """Whether this is a pod with a service account."""
    return bool(os.environ.get(SERVICE_HOST_ENV_NAME)) and Path(SERVICE_TOKEN_FILENAME).exists()


def _own_namespace() -> str:
    try:
        return Path(SERVICE_TOKEN_FILENAME).with_name("namespace").read_text("utf-8").strip()
    except OSError:
        return "default"


async def _load_kubeconfig(settings: KubernetesSettings, configuration: Configuration) -> str:
    """Load the file, or several joined by `:` as in $KUBECONFIG; returns the context's namespace."""
    files = _check_files(settings.kubeconfig)
    try:
        loader = await kube_config.load_kube_config(files, settings.context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
        return str(loader.current_context["context"].get("namespace") or "default")
    except (kube_config.ConfigException, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise _fault(_PATH, f"{files}: {error}") from error


def _check_files(asked: str | None) -> str:
    """The files' names; ConfigurationError with a better reason than the client's when one cannot be read."""
    files = asked or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    existing = [file for file in files.split(os.pathsep) if Path(file).expanduser().exists()]
    for file in existing or [files]:
        try:
            load_documents(Path(file).expanduser().read_text("utf-8"))
        except ConfigurationError as error:
            raise _fault(_PATH, f"{file}: {error.faults[0].reason}") from None
        except OSError as error:
            hint = "" if asked else " (and this is no pod of a cluster)"
            raise _fault(_PATH, f"{file}: {error.strerror}{hint}") from None
        except ValueError:
            raise _fault(_PATH, f"{file}: is not text") from None
    return files


def _fault(path: str, reason: str) -> ConfigurationError:
    return ConfigurationError([Fault(path, reason)])
