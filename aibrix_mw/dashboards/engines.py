"""What engines export of themselves, by the names that the gateway's own scraper knows.

A PodMonitor scrapes them: their series carry the target labels `namespace`, `pod` and `instance`.
"""

from aibrix_mw.dashboards.promql import one_of
from aibrix_mw.pods.engine_names import ENGINE_NAMES, VLLM

ENGINE = 'model_name=~"$model"'
BY_ENGINE = "namespace, pod, instance"
LEGEND = "{{namespace}}/{{pod}} {{instance}}"


def gauge(quantity: str, *matchers: str) -> str:
    """Series of one quantity, of whichever engine."""
    found = [
        name.decode()
        for engine in ENGINE_NAMES.values()
        for name in engine.totals.get(quantity, ()) + engine.shares.get(quantity, ())
    ]
    return f"{{{', '.join((one_of('__name__', *found), *matchers))}}}"


def fullest(*matchers: str) -> str:
    """Share of a pod's KV cache that is in use; the fullest rank counts."""
    return f"max by ({BY_ENGINE}) ({gauge('kv_cache_usage', *matchers)})"


def total(quantity: str, *matchers: str) -> str:
    """Requests that wait or run on a pod."""
    return f"sum by ({BY_ENGINE}) ({gauge(quantity, *matchers)})"


def histogram(quantity: str) -> str:
    """The name of one of vLLM's histograms."""
    return VLLM.histograms[quantity][0].decode()


def counter(quantity: str) -> str:
    """The name of one of vLLM's counters."""
    return VLLM.counters[quantity][0].decode()


def quantile(share: float, quantity: str, by: str) -> str:
    """A quantile of one of vLLM's histograms."""
    series = f"{histogram(quantity)}_bucket{{{ENGINE}}}[$__rate_interval]"
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({series})))"


def rate(quantity: str, by: str) -> str:
    """One of vLLM's counters a second."""
    return f"sum by ({by}) (rate({counter(quantity)}{{{ENGINE}}}[$__rate_interval]))"
