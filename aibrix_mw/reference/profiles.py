"""Pods and config profiles: labels, annotations, and the keys of `model.aibrix.ai/config`."""

from collections.abc import Iterator

from aibrix_mw.pods import exclusion
from aibrix_mw.reference.markdown import Section, code, table

LABELS = {
    "model.aibrix.ai/name": "Label, else annotation: the model that the pod serves.",
    "model.aibrix.ai/port": "Label: the port of its engine, 1 to 65535; without one it is 8000.",
    "model.aibrix.ai/config": "Annotation: config profiles, below; the newest Ready pod with a valid one decides.",
    "model.aibrix.ai/metric-port": "Label: the port of the engine's metrics; without one the serving port.",
    "model.aibrix.ai/engine": "Label: `vllm` (default), `sglang` or `trtllm`.",
    "model.aibrix.ai/adapters": "Annotation: further names that it serves, comma-separated: LoRA adapters, aliases.",
    "role-name": "Label: `prefill` or `decode`, for the strategy `pd`.",
    "roleset-name": "Label: the group within which prefill and decode pods pair.",
    "model.aibrix.ai/pd-compatibility": "Label: pods pair only where it is equal; absent is equal to anything.",
    "model.aibrix.ai/kv-connector-type": "Label: `nixl` (default), `shfs` or `mooncake`, on vLLM.",
    "model.aibrix.ai/sglang-bootstrap-port": "Annotation: where SGLang's prefill pods hand over; without one 8998.",
    "stormservice.orchestration.aibrix.ai/pod-group-index": "Label: pods with another value than `0` take no requests.",
    "leaderworkerset.sigs.k8s.io/worker-index": "Label: pods with another value than `0` take no requests.",
    "ray.io/node-type": "Label: pods with `worker` take no requests.",
}
MODEL_KEYS = {
    "defaultProfile": "Profile of requests that name none, or one that is not there; `default` unless said.",
    "lockedRoutingStrategy": "Strategy that neither clients nor profiles can change.",
    "requestsPerSecond": "Requests per second over all profiles together, a whole number; absent or 0: no limit.",
    "authoritativeRoutingPolicy": "`true` ignores routing headers of clients and hides those of answers.",
    "profiles": "Profiles by name, at least one.",
}
PROFILE_KEYS = {
    "routingStrategy": "Strategy or weighted list; without one `routing.default_strategy`.",
    "routingConfig": "Options of strategies and bounds for `auto`: the next section.",
    "requestsPerSecond": "Requests per second of this profile, a whole number; absent or 0: no limit.",
    "requestsInflight": "Concurrent requests per pod; when every candidate has as many: 429.",
    "requestsPerSecondPerReplica": "Requests per second and routable pod; wins over `requestsPerSecond`.",
    "timeouts": "Seconds, by the names of the settings in `upstream` that they replace.",
}


def sections() -> Iterator[Section]:
    """Pods, and profiles."""
    yield Section(
        "Pods",
        "A pod takes requests once it names a model, has an IP address, is Ready and is not being deleted.\n\n"
        + table(("key", "meaning"), [(code(key), meaning) for key, meaning in LABELS.items()])
        + "\nWhy a pod takes none, as `/status`, `aibrix-mw explain` and `aibrix_gateway_excluded_pods` say it:\n\n"
        + table(
            ("reason", "meaning"),
            [(code(key), f"{why[0].upper()}{why[1:]}.") for key, why in exclusion.REASONS.items()],
        ),
    )
    yield Section(
        "Config profiles",
        "The annotation `model.aibrix.ai/config` is a JSON object; `models.NAME.config` of the settings is the same "
        "and wins. An invalid one is reported with pod and path, and the last valid one stays.\n\n"
        + table(("key", "meaning"), [(code(key), meaning) for key, meaning in MODEL_KEYS.items()])
        + "\nOf a profile:\n\n"
        + table(("key", "meaning"), [(code(key), meaning) for key, meaning in PROFILE_KEYS.items()])
        + "\nThe header `config-profile` selects a profile by name. `auto` selects, among the profiles whose bounds "
        "all hold, the one with the most bounds. The answer names the profile in `x-aibrix-config-profile`.",
    )


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
