"""Limits of users through real processes: what engines count is what is charged, and answers stay as they are."""

import json
import time

import httpx
import pytest

from tests.e2e.support import CHAT, chat, eventually

USAGE = {"stream_options": {"include_usage": True}}
LIMIT = 2000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(max_tokens=400, stop=["."])),
        (CHAT, chat(max_tokens=400, stream=True, **USAGE)),
        ("/v1/completions", {"model": "my-model", "prompt": "hello", "max_tokens": 40, "stream": True} | USAGE),
    ],
    ids=["json", "chat stream", "completion stream"],
)
async def test_tokens_are_charged_as_the_engine_counts_them(serve, path, body):
    records = json.dumps({"al": {"tpm": LIMIT}})
    gateway = serve(AIBRIX_MW_USERS__RECORDS=records)
    await eventually(minute_has_room, "a minute that does not end in the middle of the test")
    async with httpx.AsyncClient(timeout=20) as http:
        counted = 0
        for _ in range(100):
            answer = await http.post(gateway.url + path, json=body, headers={"user": "al"})
            if answer.status_code == 429:
                break
            counted += tokens_of(answer)
        estimate = answer_estimate(body)
        assert answer.headers["x-error-tpm-exceeded"] == "true"
        assert LIMIT - estimate < counted <= LIMIT + estimate


async def minute_has_room():
    return time.time() % 60 < 52


def tokens_of(answer):
    """What the engine says in a JSON answer, or in the last event but one of a stream."""
    assert answer.status_code == 200
    if answer.headers["content-type"] == "application/json":
        return answer.json()["usage"]["total_tokens"]
    *_, last, done = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "data: [DONE]"
    return json.loads(last.removeprefix("data: "))["usage"]["total_tokens"]


def answer_estimate(body):
    """At most what is reserved for a request: its tokens, and a quarter of its bytes."""
    return body["max_tokens"] + len(json.dumps(body)) // 4
