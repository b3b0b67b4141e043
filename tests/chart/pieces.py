"""Values that several tests of the chart lay over each other."""

from typing import Any

Values = dict[str, Any]

OPEN: Values = {"gateway": {"allowUnauthenticated": True}}
KEYS: Values = {"secrets": {"clientKeys": {"name": "keys"}}}
NGINX: Values = {"ingress": {"enabled": True, "preset": "nginx", "className": "nginx", "hosts": ["llm.example.com"]}}
ROUTE: Values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "infra"}]}}
VALKEY: Values = {"valkey": {"enabled": True}}
EXTERNAL: Values = {"settings": {"store": {"url": "rediss://redis.example.com:6380/0"}}}
POLICY: Values = {"networkPolicy": {"enabled": True}}
EGRESS: Values = {"networkPolicy": {"enabled": True, "egress": {"enabled": True, "apiServerCIDRs": ["10.0.0.1/32"]}}}
SCALED: Values = {"gateway": {"autoscaling": {"enabled": True}}}
LIMITS: Values = {"settings": {"users": {"records": {"ann": {"rpm": 10, "tpm": 1000}}}}}
PER_REPLICA: Values = {"settings": {"rate_limit": {"per_replica": True}}}
RESTRICTED: Values = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
TRAP_TEXTS = ("8000", "1e3", "on", "null", "0x1F", "1_000", "yes", "1.0", "true", "2026-11-23", "1:30")


def merged(*parts: Values) -> Values:
    """Return maps laid over each other, as Helm does with values files."""
    result: Values = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def gateway(**values: Any) -> Values:
    return {"gateway": values}


def settings(**values: Any) -> Values:
    return {"settings": values}
