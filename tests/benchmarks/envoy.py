"""Envoy as a plain reverse proxy: HTTP/1.1 on both sides, kept-alive connections, no access log, no admin port."""

from typing import Any, Final

_TYPES: Final = "type.googleapis.com/envoy.extensions"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(pods: list[int]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(pod)}} for pod in pods]
    return {
        "name": "pods",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _connection_manager() -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "pods", "timeout": "0s"}}
    return {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            },
        ],
    }


def bootstrap(port: int, pods: list[int]) -> dict[str, Any]:
    """Give the configuration file's content: listen on 127.0.0.1:port, least requests over the pods' ports."""
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _connection_manager()}
    listener = {"name": "clients", "address": _address(port), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(pods)]}}
