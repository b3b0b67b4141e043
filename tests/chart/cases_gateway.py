"""Values for the gateway half: each option on, each preset, and the combinations that meet in one object."""

from collections.abc import Iterator
from itertools import product
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


PODS: dict[str, Values] = {
    "default": {},
    "one replica": gateway(replicas=1),
    "no replica": gateway(replicas=0),
    "many replicas": gateway(replicas=40),
    "autoscaling": SCALED,
    "autoscaling at once": gateway(autoscaling={"enabled": True, "scaleDownStabilization": 0}),
    "surge in percent": gateway(rollout={"maxSurge": "25%", "maxUnavailable": "10%"}),
    "no surge": gateway(rollout={"maxSurge": 0, "maxUnavailable": 1}),
    "no budget": gateway(podDisruptionBudget={"enabled": False}),
    "budget of zero": gateway(podDisruptionBudget={"maxUnavailable": 0}),
    "budget in percent": gateway(podDisruptionBudget={"maxUnavailable": "20%"}),
    "budget by minAvailable": gateway(replicas=3, podDisruptionBudget={"minAvailable": 2}),
    "budget by percent": gateway(podDisruptionBudget={"minAvailable": "50%"}),
    "long grace": gateway(terminationGracePeriodSeconds=1000),
    "resources": gateway(resources={"requests": {"cpu": "500m", "memory": "768Mi"}, "limits": {"memory": "1.5Gi"}}),
    "memory as a number": gateway(resources={"limits": {"memory": 2147483648}}),
    "no memory limit": gateway(resources={"limits": {"memory": None}}),
    "variables": gateway(env=[{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel:4318"}]),
    "variables of a Secret": gateway(envFrom=[{"secretRef": {"name": "env"}}]),
    "volumes": gateway(volumes=[{"name": "x", "emptyDir": {}}], volumeMounts=[{"name": "x", "mountPath": "/x"}]),
    "annotations": gateway(annotations={"a": 1}, podAnnotations={"b/c": True, "d": 1e3, "e": "x: y", "big": 67108864}),
    "pod labels": gateway(podLabels={"team": "llm", "number": 8000, "flag": True}),
    "node selector": gateway(nodeSelector={"kubernetes.io/os": "linux", "gpu": False, "pool": 7}),
    "tolerations": gateway(tolerations=[{"key": "k", "operator": "Exists", "effect": "NoSchedule"}]),
    "affinity": gateway(
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
                }
            }
        }
    ),
    "no spread": gateway(topologySpreadConstraints=[]),
    "own spread": gateway(
        topologySpreadConstraints=[
            {
                "maxSkew": 2,
                "topologyKey": "rack",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"a": "b"}},
            }
        ]
    ),
    "priority": gateway(priorityClassName="system-cluster-critical"),
    "sidecar": gateway(sidecars=[{"name": "proxy", "image": "proxy:1.2", "securityContext": RESTRICTED}]),
    "all namespaces": gateway(watchAllNamespaces=True),
    "own names": {"nameOverride": "llm", "fullnameOverride": "edge"},
    "longest name": {"fullnameOverride": "a" * 50},
    "common labels": {"commonLabels": {"cost-center": 42, "managed": True, "owner": "ml"}},
    "image by digest": {"image": {"repository": "registry.example.com:5000/aibrix-mw", "digest": "sha256:" + "0" * 64}},
    "image by tag": {"image": {"tag": "0.1.0-rc.1", "pullPolicy": "Always"}},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}], **VALKEY},
    "own account": {"serviceAccount": {"create": False, "name": "given"}},
    "default account": {"serviceAccount": {"create": False}},
    "account annotations": {"serviceAccount": {"name": "gateway", "annotations": {"iam.example.com/role": "x"}}},
    "no rbac": {"rbac": {"create": False}},
    "extra objects": {
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "{{ .Release.Name }}-more",
                    "namespace": "llm",
                    "labels": {
                        "app.kubernetes.io/name": "x",
                        "app.kubernetes.io/instance": "x",
                        "app.kubernetes.io/component": "x",
                    },
                },
            }
        ]
    },
    **{
        f"label {text}": {"commonLabels": {"t": text}, **gateway(podLabels={"p": text}, podAnnotations={"a": text})}
        for text in TRAP_TEXTS
        if ":" not in text
    },
    **{f"annotation {text}": {"service": {"annotations": {"a": text}}} for text in TRAP_TEXTS},
}

SETTINGS: dict[str, Values] = {
    "several namespaces": settings(discovery={"kubernetes": {"namespaces": ["llm", "team-a", "team-a"]}}),
    "events": settings(discovery={"kubernetes": {"emit_events": True}}),
    "events everywhere": merged(
        settings(discovery={"kubernetes": {"emit_events": True}}), gateway(watchAllNamespaces=True)
    ),
    "no discovery": settings(
        discovery={"kubernetes": {"enabled": False}}, models={"m": {"endpoints": ["http://m:8000"]}}
    ),
    "zero delay": settings(shutdown={"delay": 0}),
    "zero grace": settings(shutdown={"grace": 0}),
    "fraction of grace": settings(shutdown={"delay": 0.5, "grace": 30.25}),
    "other ports": settings(listen={"port": 9000, "admin_port": 9001}),
    "own admin address": settings(listen={"admin_host": "::"}),
    "strategy": settings(routing={"default_strategy": "prefix-cache", "attempts": 3}),
    "target shown": merged(NGINX, OPEN, settings(routing={"expose_target": True}, users={"trust_header": True})),
    "large bodies": settings(limits={"max_body_bytes": 200_000_000}),
    "names that look like numbers": settings(models={"8000": {"aliases": ["on", "1e3"]}, "null": {"aliases": ["yes"]}}),
    "a long model name": settings(models={"meta-llama/Llama-3.1-8B-Instruct": {"aliases": ["gpt-4o"]}}),
    "records": merged(LIMITS, VALKEY),
    "records, one replica": merged(LIMITS, gateway(replicas=1)),
    "records, each replica": merged(LIMITS, PER_REPLICA),
    "a limit of a model": merged(
        VALKEY, settings(models={"m": {"config": {"profiles": {"default": {"requestsPerSecond": 5}}}}})
    ),
    "no limit": settings(models={"m": {"config": {"profiles": {"default": {"requestsPerSecond": 0}}}}}),
    "a lowered level": settings(log={"level": "debug"}),
    "text logs": settings(log={"format": "text"}),
    "metrics without pods": settings(metrics={"per_pod": False}),
}

STORES: dict[str, Values] = {
    "no store": {},
    "valkey": VALKEY,
    "valkey, own password": merged(VALKEY, {"valkey": {"auth": {"existingSecret": "given", "key": "pw"}}}),
    "valkey without disk": merged(VALKEY, {"valkey": {"persistence": {"enabled": False}}}),
    "valkey, own class": merged(
        VALKEY, {"valkey": {"persistence": {"storageClass": "fast", "size": "8Gi", "whenDeleted": "Retain"}}}
    ),
    "valkey by digest": merged(VALKEY, {"valkey": {"image": {"digest": "sha256:" + "1" * 64}}}),
    "valkey placed": merged(
        VALKEY,
        {
            "valkey": {
                "nodeSelector": {"a": "b"},
                "tolerations": [{"operator": "Exists"}],
                "affinity": {"podAntiAffinity": {}},
                "resources": {},
            }
        },
    ),
    "external": EXTERNAL,
    "external with secrets": merged(
        EXTERNAL, {"secrets": {"storePassword": {"name": "pw"}, "storeCA": {"name": "ca"}}}
    ),
    "valkey url": settings(store={"url": "valkey://valkey.data:6379/1", "timeout": 0.1}),
}

EXPOSURES: dict[str, Values] = {
    "inside": {},
    "load balancer": {
        "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerClass": "x"}
    },
    "node port": {"service": {"type": "NodePort", "port": 8080}},
    "ingress": {"ingress": {"enabled": True}},
    "nginx": NGINX,
    "alb": {
        "ingress": {
            "enabled": True,
            "preset": "alb",
            "className": "alb",
            "annotations": {"alb.ingress.kubernetes.io/scheme": "internal"},
        }
    },
    "gke": {
        "ingress": {"enabled": True, "preset": "gke", "tls": [{"secretName": "tls", "hosts": ["llm.example.com"]}]}
    },
    "route": ROUTE,
    "route without timeouts": merged(
        ROUTE, {"httpRoute": {"timeouts": False, "hostnames": ["llm.example.com", "*.example.org"]}}
    ),
    "everything": merged(NGINX, ROUTE, {"service": {"type": "LoadBalancer"}}),
}

ACCESS: dict[str, Values] = {
    "open": OPEN,
    "keys": KEYS,
    "keys and test key": merged(KEYS, {"tests": {"clientKey": {"name": "key"}}}),
    "tls": merged(OPEN, {"secrets": {"tls": {"name": "cert"}, "engineKey": {"name": "engine", "key": "k"}}}),
}

POLICIES: dict[str, Values] = {
    "no policy": {},
    "policy": POLICY,
    "policy of clients": merged(POLICY, {"networkPolicy": {"clients": [{"podSelector": {}}], "monitoring": []}}),
    "egress": EGRESS,
    "egress with all": merged(
        EGRESS,
        {
            "networkPolicy": {
                "egress": {
                    "dns": [{"namespaceSelector": {}}],
                    "otlp": [{"namespaceSelector": {}}],
                    "store": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
                    "extra": [{"to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}]}],
                }
            }
        },
    ),
}

MONITORING: dict[str, Values] = {
    name: {"monitoring": {"labels": {"release": "prometheus"}, name: {"enabled": True}}}
    for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
}
MONITORING["dashboards in a folder"] = {
    "monitoring": {
        "dashboards": {"enabled": True, "annotations": {"folder": "LLM"}, "labels": {"grafana_dashboard": 1}}
    }
}
MONITORING["all of it"] = merged(*MONITORING.values(), {"monitoring": {"interval": "30s"}})
MONITORING["no tests"] = {"tests": {"enabled": False}}


def _combined(*tables: dict[str, Values]) -> Iterator[tuple[str, Values]]:
    for parts in product(*(table.items() for table in tables)):
        names, values = zip(*parts, strict=True)
        if "egress" in names and ("external" in names or "external with secrets" in names or "valkey url" in names):
            continue  # refused: the store would be out of reach
        yield " + ".join(names), merged(*values)


CASES: dict[str, Values] = {
    **PODS,
    **SETTINGS,
    **MONITORING,
    **dict(_combined(STORES, POLICIES)),
    **dict(_combined(EXPOSURES, ACCESS)),
    **dict(_combined({"autoscaling": SCALED}, {"valkey": VALKEY}, {"policy": POLICY, "egress": EGRESS})),
}
