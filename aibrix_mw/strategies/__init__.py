"""Routing strategies. A new one is one file and one line in this table."""

TABLE = {
    "random": "aibrix_mw.strategies.random:Random",
    "least-request": "aibrix_mw.strategies.least_request:LeastRequest",
    "power-of-two": "aibrix_mw.strategies.power_of_two:PowerOfTwo",
    "least-latency": "aibrix_mw.strategies.least_latency:LeastLatency",
    "throughput": "aibrix_mw.strategies.throughput:Throughput",
    "least-kv-cache": "aibrix_mw.strategies.least_kv_cache:LeastKvCache",
    "least-gpu-cache": "aibrix_mw.strategies.least_gpu_cache:LeastGpuCache",
    "least-busy-time": "aibrix_mw.strategies.least_busy_time:LeastBusyTime",
    "prefix-cache": "aibrix_mw.strategies.prefix_cache:PrefixCache",
    "prefix-cache-preble": "aibrix_mw.strategies.prefix_cache_preble:PrefixCachePreble",
    "vtc-basic": "aibrix_mw.strategies.vtc_basic:VtcBasic",
    "pd": "aibrix_mw.strategies.pd:Pd",
    "session-affinity": "aibrix_mw.strategies.session_affinity:SessionAffinity",
}
