"""A real vLLM continues the gateway's trace."""

import openai
import pytest

from tests.otlp import Receiver, Seen, tree
from tests.vllm.processes import MODEL, eventually

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("engines")]


async def test_one_trace_across_gateway_and_engine(
    client: openai.AsyncOpenAI, collector: Receiver, report: dict[str, str]
):
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hello"}],
        max_tokens=5,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"x-request-id": "traced"},
    )
    async for _ in stream:
        pass

    def spans() -> list[Seen]:
        ours = [span for span in collector.spans if span.attributes.get("aibrix_mw.request_id") == "traced"]
        return [span for span in collector.spans if ours and span.trace == ours[0].trace]

    async def engine_told() -> bool:
        return any(span.name == "llm_request" for span in spans())

    await eventually(engine_told, "the engine's span is in the gateway's trace")
    assert tree(spans()) == [
        "SERVER POST /v1/chat/completions",
        ["INTERNAL aibrix_mw.route"],
        ["CLIENT chat tiny", ["SERVER llm_request"]],
    ]
    (call,) = [span for span in spans() if span.kind == "CLIENT"]
    (engine,) = [span for span in spans() if span.name == "llm_request"]
    for tokens in ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"):
        ours = tokens.replace("prompt", "input").replace("completion", "output")
        assert engine.attributes[tokens] == call.attributes[ours]
    report["one trace, gateway and engine"] = " > ".join(span.name for span in sorted(spans(), key=lambda s: s.start))
