"""What the chart refuses: each contradiction with its own sentence, all of them at once."""

import pytest

from tests.chart.pieces import (
    EXTERNAL,
    KEYS,
    LIMITS,
    NGINX,
    OPEN,
    PER_REPLICA,
    ROUTE,
    SCALED,
    VALKEY,
    gateway,
    merged,
    settings,
)
from tests.chart.rendering import refusal, render

NOTHING = gateway(enabled=False)
LIMITED = settings(models={"m": {"config": {"profiles": {"default": {"requestsPerSecond": 5}}}}})
SCARCE = settings(models={"m": {"config": {"profiles": {"default": {"requestsPerSecondPerReplica": 0.5}}}}})
EGRESS = {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
SERVED = {"networkPolicy": {"egress": {"apiServerCIDRs": ["10.0.0.1/32"]}}}
UNSHARED = "gateway.replicas: several replicas with a limit and no store would each grant it in full"
UNASKED = "gateway.allowUnauthenticated: an Ingress, an HTTPRoute or a Service beyond ClusterIP lets anybody in"

GUARDS = {
    "users' limits without a store": (LIMITS, UNSHARED),
    "a model's limit without a store": (LIMITED, UNSHARED),
    "a limit below one without a store": (SCARCE, UNSHARED),
    "autoscaling and a limit without a store": (merged(LIMITS, SCALED, gateway(replicas=1)), UNSHARED),
    "ingress without keys": (NGINX, UNASKED),
    "route without keys": (ROUTE, UNASKED),
    "load balancer without keys": ({"service": {"type": "LoadBalancer"}}, UNASKED),
    "node port without keys": ({"service": {"type": "NodePort"}}, UNASKED),
    "route to nowhere": (
        merged(KEYS, {"httpRoute": {"enabled": True}}),
        "httpRoute.parentRefs: is empty: the route would attach to no Gateway",
    ),
    "grace too short": (
        gateway(terminationGracePeriodSeconds=559),
        "gateway.terminationGracePeriodSeconds: 559 is below settings.shutdown.delay + settings.shutdown.grace + 15",
    ),
    "memory too small": (
        gateway(resources={"limits": {"memory": "767Mi"}}),
        "gateway.resources.limits.memory: 767Mi is below 512 MiB + settings.limits.max_buffered_bytes = 805306368",
    ),
    "memory too small, in bytes": (
        gateway(resources={"limits": {"memory": 805306367}}),
        "is below 512 MiB + settings.limits.max_buffered_bytes = 805306368 bytes",
    ),
    "rollout that cannot begin": (
        gateway(rollout={"maxSurge": 0, "maxUnavailable": 0}),
        "gateway.rollout: maxSurge and maxUnavailable are both zero: no update could ever begin",
    ),
    "rollout that cannot begin, in percent": (
        gateway(rollout={"maxSurge": "0%"}),
        "gateway.rollout: maxSurge and maxUnavailable are both zero",
    ),
    "autoscaling upside down": (
        gateway(autoscaling={"enabled": True, "minReplicas": 11}),
        "gateway.autoscaling.minReplicas: is above maxReplicas",
    ),
    "budget of nothing": (
        gateway(podDisruptionBudget={"minAvailable": 0}),
        "gateway.podDisruptionBudget.minAvailable: 0 protects nothing",
    ),
    "budget that blocks": (
        gateway(podDisruptionBudget={"minAvailable": 2}),
        "gateway.podDisruptionBudget.minAvailable: 2 of 2 pods blocks every node drain",
    ),
    "budget that blocks, in percent": (
        gateway(podDisruptionBudget={"minAvailable": "100%"}),
        "gateway.podDisruptionBudget.minAvailable: 100% of 2 pods blocks every node drain",
    ),
    "budget without number": (
        gateway(podDisruptionBudget={"maxUnavailable": None}),
        "gateway.podDisruptionBudget: names neither maxUnavailable nor minAvailable",
    ),
    "a port that nobody knows": (
        settings(listen={"port": 0}),
        "settings.listen.port: 0 is a port that nobody can know",
    ),
    "an admin port that nobody knows": (
        settings(listen={"admin_port": 0}),
        "settings.listen.admin_port: 0 is a port that nobody can know",
    ),
    "one port for two": (
        settings(listen={"admin_port": 8080}),
        "settings.listen.admin_port: is also settings.listen.port",
    ),
    "loopback": (
        settings(listen={"host": "127.0.0.1"}),
        "settings.listen.host: 127.0.0.1 is reached from inside the pod only",
    ),
    "admin on loopback": (
        settings(listen={"admin_host": "::1"}),
        "settings.listen.admin_host: ::1 is reached from inside the pod only",
    ),
    "all namespaces by the settings alone": (
        settings(discovery={"kubernetes": {"all_namespaces": True}}),
        "settings.discovery.kubernetes.all_namespaces: set gateway.watchAllNamespaces, which grants it too",
    ),
    "all namespaces and some": (
        merged(gateway(watchAllNamespaces=True), settings(discovery={"kubernetes": {"namespaces": ["a"]}})),
        "gateway.watchAllNamespaces: is true although settings.discovery.kubernetes.namespaces names some",
    ),
    "two stores": (
        merged(VALKEY, EXTERNAL),
        "valkey.enabled: is true although settings.store.url names another store",
    ),
    "two passwords": (
        merged(VALKEY, {"secrets": {"storePassword": {"name": "pw"}}}),
        "secrets.storePassword: the bundled Valkey's password is valkey.auth.existingSecret, for both sides",
    ),
    "a password in the open": (
        settings(store={"url": "redis://user:secret@redis:6379"}),
        "settings.store.url: holds a password, which everybody may read in a ConfigMap",
    ),
    "a file and a Secret": (
        merged(KEYS, settings(auth={"keys_file": "/keys"})),
        "settings.auth.keys_file: is set, and so is the Secret that it would be the file of (clientKeys)",
    ),
    "nothing to scrape": (
        merged(settings(metrics={"enabled": False}), {"monitoring": {"serviceMonitor": {"enabled": True}}}),
        "monitoring.serviceMonitor.enabled: there is nothing to scrape, settings.metrics.enabled is false",
    ),
    "connections closed too early": (
        merged(KEYS, {"ingress": {"enabled": True, "preset": "alb"}}, settings(listen={"keep_alive": 620})),
        "settings.listen.keep_alive: is below the load balancer's idle timeout of 3600",
    ),
    "egress without API server": (
        EGRESS,
        "networkPolicy.egress.apiServerCIDRs: is empty: the gateway could not watch pods",
    ),
    "egress without store": (
        merged(EGRESS, SERVED, EXTERNAL),
        "networkPolicy.egress.store: is empty: the gateway could not reach settings.store.url",
    ),
    "nothing at all": (NOTHING, "gateway.enabled: is false and there are no models: nothing would be installed"),
    "ingress to nothing": (merged(NOTHING, NGINX), "ingress.enabled: is for a gateway, and gateway.enabled is false"),
    "route to nothing": (merged(NOTHING, ROUTE), "httpRoute.enabled: is for a gateway, and gateway.enabled is false"),
    "store of nothing": (merged(NOTHING, VALKEY), "valkey.enabled: is for a gateway, and gateway.enabled is false"),
    "monitor of nothing": (
        merged(NOTHING, {"monitoring": {"serviceMonitor": {"enabled": True}}}),
        "monitoring.serviceMonitor.enabled: is for a gateway, and gateway.enabled is false",
    ),
}


@pytest.mark.parametrize("name", GUARDS)
def test_guard(name):
    values, sentence = GUARDS[name]
    assert sentence in refusal(values)


@pytest.mark.parametrize(
    "values",
    [
        merged(LIMITS, gateway(replicas=1)),
        merged(LIMITS, PER_REPLICA),
        merged(LIMITS, VALKEY),
        merged(LIMITED, EXTERNAL),
        merged(NGINX, OPEN),
        merged(NGINX, KEYS),
        gateway(resources={"limits": {"memory": "768Mi"}}),
        gateway(resources={"limits": {"memory": "0.75Gi"}}),
        gateway(resources={"limits": {"memory": "806M"}}),
        gateway(terminationGracePeriodSeconds=560),
        merged(gateway(terminationGracePeriodSeconds=15), settings(shutdown={"delay": 0, "grace": 0})),
        gateway(podDisruptionBudget={"minAvailable": 1}),
        settings(store={"url": "redis://user@redis:6379"}),
    ],
    ids=str,
)
def test_on_the_other_side_of_a_guard(values):
    assert render(values)


def test_all_faults_are_told_at_once():
    told = refusal(merged(NGINX, VALKEY, EXTERNAL, gateway(terminationGracePeriodSeconds=1)))
    assert [line.partition(":")[0] for line in told.splitlines() if line[:1].islower()] == [
        "gateway.terminationGracePeriodSeconds",
        "valkey.enabled",
        "gateway.allowUnauthenticated",
    ]


def test_a_release_that_begins_with_a_digit():
    assert "fullnameOverride: the release name 4gw begins with a digit" in refusal({}, release="4gw")
    assert render({"fullnameOverride": "gw"}, release="4gw")
