"""Services, Ingress, HTTPRoute and NetworkPolicy: who reaches the gateway, and for how long."""

import pytest

from tests.chart.pieces import EGRESS, KEYS, NGINX, OPEN, POLICY, ROUTE, VALKEY, gateway, merged, settings
from tests.chart.rendering import find, one, render

NAME = "gw-aibrix-mw"
NGINX_PREFIX = "nginx.ingress.kubernetes.io/"
ALB_PREFIX = "alb.ingress.kubernetes.io/"


def labels(component):
    return {
        "app.kubernetes.io/name": "aibrix-mw",
        "app.kubernetes.io/instance": "gw",
        "app.kubernetes.io/component": component,
    }


def annotations(values):
    return one(render(merged(values, OPEN)), "Ingress", NAME)["metadata"].get("annotations", {})


# -- Services


@pytest.mark.parametrize("exposure", [{}, NGINX, ROUTE, {"service": {"type": "LoadBalancer"}}], ids=str)
def test_admin_port_has_a_service_of_its_own_that_nothing_exposes(exposure):
    objects = render(merged(exposure, OPEN))
    admin = one(objects, "Service", f"{NAME}-admin")["spec"]
    assert admin["type"] == "ClusterIP"
    assert [port["targetPort"] for port in admin["ports"]] == ["admin"]
    public = one(objects, "Service", NAME)["spec"]
    assert [port["targetPort"] for port in public["ports"]] == ["http"]
    assert f"{NAME}-admin" not in str(find(objects, "Ingress") + find(objects, "HTTPRoute"))


def test_load_balancer():
    ranges = ["10.0.0.0/8"]
    values = {"service": {"type": "LoadBalancer", "loadBalancerClass": "c", "loadBalancerSourceRanges": ranges}}
    spec = one(render(merged(values, KEYS)), "Service", NAME)["spec"]
    assert (spec["type"], spec["loadBalancerClass"], spec["loadBalancerSourceRanges"]) == ("LoadBalancer", "c", ranges)


# -- Ingress


def test_ingress():
    spec = one(render(merged(NGINX, KEYS)), "Ingress", NAME)["spec"]
    assert spec["ingressClassName"] == "nginx"
    (rule,) = spec["rules"]
    assert rule["host"] == "llm.example.com"
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/"
    assert path["backend"] == {"service": {"name": NAME, "port": {"name": "http"}}}


def test_ingress_for_any_host():
    spec = one(render(merged({"ingress": {"enabled": True}}, KEYS)), "Ingress", NAME)["spec"]
    assert ["host" in rule for rule in spec["rules"]] == [False]
    assert "ingressClassName" not in spec


def test_nginx_waits_an_hour_and_buffers_nothing():
    """A proxy's timeout below a long generation's time would break it off."""
    found = annotations(NGINX)
    assert found[NGINX_PREFIX + "proxy-read-timeout"] == "3600"
    assert found[NGINX_PREFIX + "proxy-send-timeout"] == "3600"
    assert found[NGINX_PREFIX + "proxy-buffering"] == "off"
    assert found[NGINX_PREFIX + "proxy-request-buffering"] == "off"
    assert found[NGINX_PREFIX + "proxy-body-size"] == "67108864"


def test_body_size_follows_the_settings():
    found = annotations(merged(NGINX, settings(limits={"max_body_bytes": 1000000})))
    assert found[NGINX_PREFIX + "proxy-body-size"] == "1000000"


def test_alb_waits_an_hour_and_the_gateway_longer():
    values = merged({"ingress": {"enabled": True, "preset": "alb"}}, OPEN)
    found = annotations(values)
    assert found[ALB_PREFIX + "load-balancer-attributes"] == "idle_timeout.timeout_seconds=3600"
    assert found[ALB_PREFIX + "target-group-attributes"] == "deregistration_delay.timeout_seconds=545"
    assert "keep_alive: 3620" in one(render(values), "ConfigMap")["data"]["settings.yaml"]


def test_gke_has_a_backend_config():
    objects = render(merged({"ingress": {"enabled": True, "preset": "gke"}}, OPEN))
    spec = one(objects, "BackendConfig", NAME)["spec"]
    assert spec["timeoutSec"] == 3600
    assert spec["connectionDraining"] == {"drainingTimeoutSec": 545}
    assert spec["healthCheck"] == {"type": "HTTP", "requestPath": "/readyz", "port": 8080}
    service = one(objects, "Service", NAME)["metadata"]["annotations"]
    assert service["cloud.google.com/backend-config"] == f'{{"default":"{NAME}"}}'
    assert one(objects, "Ingress")["metadata"]["annotations"] == {"kubernetes.io/ingress.class": "gce"}


def test_own_annotations_win_over_the_preset_s():
    own = {NGINX_PREFIX + "proxy-read-timeout": 60, "a": "b"}
    found = annotations(merged(NGINX, {"ingress": {"annotations": own}}))
    assert (found[NGINX_PREFIX + "proxy-read-timeout"], found["a"]) == ("60", "b")


def test_no_preset_says_nothing():
    assert annotations({"ingress": {"enabled": True}}) == {}


@pytest.mark.parametrize(("preset", "key"), [("nginx", NGINX_PREFIX), ("alb", ALB_PREFIX)])
@pytest.mark.parametrize(
    ("tls", "protocol"),
    [
        ({}, "HTTP"),
        ({"secrets": {"tls": {"name": "cert"}}}, "HTTPS"),
        ({"settings": {"listen": {"tls_cert_file": "/csi/tls.crt", "tls_key_file": "/csi/tls.key"}}}, "HTTPS"),
    ],
)
def test_backend_protocol(preset, key, tls, protocol):
    values = {"ingress": {"enabled": True, "preset": preset}, **tls}
    assert annotations(values)[key + "backend-protocol"] == protocol


# -- HTTPRoute


def test_route_has_no_timeouts():
    spec = one(render(merged(ROUTE, KEYS)), "HTTPRoute", NAME)["spec"]
    assert spec["parentRefs"] == [{"name": "public", "namespace": "infra"}]
    (rule,) = spec["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": NAME, "port": 80}]
    assert "hostnames" not in spec


def test_route_without_the_switch():
    (rule,) = one(render(merged(ROUTE, KEYS, {"httpRoute": {"timeouts": False}})), "HTTPRoute")["spec"]["rules"]
    assert "timeouts" not in rule


# -- NetworkPolicy


def policy(values, name=NAME):
    return one(render(values), "NetworkPolicy", name)["spec"]


def test_policy_is_ingress_only():
    spec = policy(POLICY)
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec
    assert spec["podSelector"] == {"matchLabels": labels("gateway")}
    clients, monitoring = spec["ingress"]
    assert clients == {"ports": [{"port": "http"}]}
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert monitoring == {"ports": [{"port": "admin"}], "from": [namespace]}


def test_named_clients_and_the_helm_tests():
    mine = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    rule = policy(merged(POLICY, {"networkPolicy": {"clients": [mine], "monitoring": []}}))["ingress"]
    assert rule == [{"ports": [{"port": "http"}], "from": [mine, {"podSelector": {"matchLabels": labels("test")}}]}]
    assert one(render(), "Pod", f"{NAME}-test-ready")["metadata"]["labels"].items() >= labels("test").items()


def test_egress_is_dns_engines_and_the_api_server():
    spec = policy(EGRESS)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    dns, engines, server = spec["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert engines == {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "llm"}}}]}
    assert server == {"ports": [{"port": 443}, {"port": 6443}], "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}


def test_egress_to_all_namespaces_only_where_they_are_watched():
    assert policy(merged(EGRESS, gateway(watchAllNamespaces=True)))["egress"][1] == {"to": [{"namespaceSelector": {}}]}


def test_egress_to_the_bundled_store():
    found = policy(merged(EGRESS, VALKEY))["egress"][-1]
    assert found == {"ports": [{"port": 6379}], "to": [{"podSelector": {"matchLabels": labels("valkey")}}]}


def test_egress_to_what_is_named():
    otlp, store = {"podSelector": {"matchLabels": {"app": "otel"}}}, {"ipBlock": {"cidr": "10.1.0.0/16"}}
    more = {"to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}]}
    egress = {"otlp": [otlp], "store": [store], "storePorts": [6380], "dns": [otlp], "extra": [more]}
    found = policy(merged(EGRESS, {"networkPolicy": {"egress": egress}}))["egress"]
    assert found[0]["to"] == [otlp]
    assert found[-3:] == [
        {"ports": [{"port": 6380}], "to": [store]},
        {"ports": [{"port": 4317}, {"port": 4318}], "to": [otlp]},
        more,
    ]


def test_no_policy_unless_asked():
    assert find(render(VALKEY), "NetworkPolicy") == []
