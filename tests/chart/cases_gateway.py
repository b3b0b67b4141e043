"""Values for the gateway half: each option on, each preset, and the combinations that meet in one object."""

from collections.abc import Iterator
from itertools import product

from tests.chart import cases_pods
from tests.chart.pieces import (
    EGRESS,
    EXTERNAL,
    KEYS,
    LIMITS,
    NGINX,
    OPEN,
    PER_REPLICA,
    POLICY,
    ROUTE,
    SCALED,
    VALKEY,
    Values,
    gateway,
    merged,
    settings,
)

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
    **cases_pods.CASES,
    **SETTINGS,
    **MONITORING,
    **dict(_combined(STORES, POLICIES)),
    **dict(_combined(EXPOSURES, ACCESS)),
    **dict(_combined({"autoscaling": SCALED}, {"valkey": VALKEY}, {"policy": POLICY, "egress": EGRESS})),
}
