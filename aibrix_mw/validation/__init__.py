"""What `aibrix-mw validate` says of a file: settings, Kubernetes manifests or a config annotation.

Says everything that makes the gateway refuse a file, and beyond that what it takes and is probably not meant. It opens
the file and, of those that settings name, the keys file: no environment, no network, no secrets.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.keyfile import KeyFile
from aibrix_mw.keys import KeyRing
from aibrix_mw.pods.documents import load_documents, under
from aibrix_mw.pods.static import endpoint_pods
from aibrix_mw.settings import Settings, parse_settings
from aibrix_mw.settings.document import read_document
from aibrix_mw.settings.sifting import closest
from aibrix_mw.strategies.catalogue import Catalogue
from aibrix_mw.validation.manifests import check_manifests
from aibrix_mw.validation.report import Report, check_config

__all__ = ["Report", "validate_file"]

_ANNOTATION_KEYS = frozenset({"profiles", "defaultProfile", "lockedRoutingStrategy", "authoritativeRoutingPolicy"})
_UNRECOGNISED = (
    "neither settings (with keys such as models or listen), nor Kubernetes manifests (with a kind), "
    "nor a config annotation (with profiles)"
)


def validate_file(path: Path) -> Report:
    """Check a file; never raises for what is in it. Faults of the file as a whole have an empty path."""
    report = Report()
    try:
        text = path.read_text("utf-8-sig")
        documents = load_documents(text)
    except OSError as error:
        report.faults.append(Fault("", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        report.faults.append(Fault("", f"not UTF-8 text (byte {error.start})"))
    except ConfigurationError as error:
        report.faults += error.faults
    else:
        _recognise(text, documents, report)
    return report


def _recognise(text: str, documents: list[Any], report: Report) -> None:
    """Check the documents as what they are."""
    only = (documents or [{}])[0] if len(documents) <= 1 else None
    if any(isinstance(document, Mapping) and {"kind", "apiVersion"} & document.keys() for document in documents):
        check_manifests(documents, report)
    elif not isinstance(only, Mapping):
        report.faults.append(Fault("", _UNRECOGNISED))
    elif _ANNOTATION_KEYS & only.keys():
        _check_annotation(text, report)
    elif not only or any(closest(str(key), Settings.__struct_fields__) for key in only):
        _check_settings(text, report)
    else:
        report.faults.append(Fault("", _UNRECOGNISED))


def _check_annotation(text: str, report: Report) -> None:
    report.kind = "config annotation"
    if _is_json(text):
        check_config(text, "", report)
        return
    document = read_document(text, "")
    report.faults += document.faults
    if isinstance(document.data, Mapping):
        check_config(document.data, "", report)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _check_settings(text: str, report: Report) -> None:
    report.kind = "settings"
    data = read_document(text, "").data
    if not data:
        report.warn("", "nothing is set: every setting has its default")
    checked = parse_settings(text, "")
    report.faults += checked.faults
    report.warnings += checked.warnings
    for name, config in _configs(data):
        check_config(config, f"models.{name}.config", report)
    if checked.settings is not None:
        _check_use(checked.settings, report)


def _configs(data: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The models' configurations as they are written, so that a fault elsewhere hides none of theirs."""
    models = data.get("models") if isinstance(data, Mapping) else None
    for name, model in models.items() if isinstance(models, Mapping) else ():
        if isinstance(model, Mapping) and isinstance(model.get("config"), Mapping):
            yield str(name), model["config"]


def _check_use(settings: Settings, report: Report) -> None:
    """What is refused only when a gateway is made of the settings."""
    fault = Catalogue().fault("routing.default_strategy", settings.routing.default_strategy)
    report.faults += [fault] if fault is not None else []
    if settings.auth.keys_file is not None:
        _check_keys(Path(settings.auth.keys_file), report)
    for name, model in settings.models.items():
        try:
            endpoint_pods(name, model.endpoints)
        except ConfigurationError as error:
            report.faults += [under(f"models.{name}.endpoints", fault, ": ") for fault in error.faults]


def _check_keys(file: Path, report: Report) -> None:
    if not file.exists():
        report.warn("auth.keys_file", f"{file} is not here, and its keys are not checked")
        return
    try:
        KeyFile(file, KeyRing()).load()
    except ConfigurationError as error:
        report.faults += [Fault("auth.keys_file", str(fault)) for fault in error.faults]
