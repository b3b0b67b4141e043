"""The gateway's metrics alone in a FastAPI application: requests, durations and tokens of its own answers.

They are at /metrics/, registered beside the application's own, in prometheus_client's registry; the model is what
requests name.
"""

from typing import Any

import uvicorn
from fastapi import FastAPI
from prometheus_client import REGISTRY, make_asgi_app

from aibrix_mw.middleware.metrics import MetricsMiddleware
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.pods.static import StaticPods
from aibrix_mw.telemetry.metrics import GatewayMetrics

pods = StaticPods({"llama": ["http://10.0.0.7:8000"]})
metrics = GatewayMetrics(pods.registry, registry=REGISTRY)

app = FastAPI()
app.add_middleware(ModelMiddleware, registry=pods.registry)
app.add_middleware(MetricsMiddleware, metrics=metrics)  # added last, so outermost: what is refused counts too
app.mount("/metrics", make_asgi_app(REGISTRY))


@app.post("/v1/chat/completions")
async def chat(body: dict[str, Any]) -> dict[str, Any]:
    words = len(body["messages"])
    return {"choices": [], "usage": {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1}}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8080)
