"""Requests of users, and an engine that says what it counted."""

import asyncio

from aibrix_mw.request import InferenceRequest, parse_fields
from aibrix_mw.scope import REQUEST
from tests.support import CHAT, ask

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream")]
PROMPT = b'{"model": "m", "max_tokens": 60, "messages": "%s"}' % (b"x" * 158)  # 40 + 60 tokens


def answer(usage):
    return [b'{"choices": [], ', b'"usage": {"prompt_tokens": %d, "completion_tokens": %d}}' % usage]


def stream(usage):
    last = b'data: {"choices": [], "usage": {"prompt_tokens": %d, "completion_tokens": %d}}\n\n' % usage
    return [b'data: {"choices": [{}]}\n\n', b"data: ", last[6:30], last[30:], b"data: [DONE]\n\n"]


class Engine:
    """What is inside: answers with chunks, once it may."""

    def __init__(self, chunks=(b"{}",), headers=JSON, **start):
        self.chunks, self.headers, self.start = list(chunks), list(headers), start
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await self.go.wait()
        start = {"type": "http.response.start", "status": 200, "headers": [*self.headers]}
        await send(start | self.start)
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def request_of(user="al", body=PROMPT, path=CHAT):
    fields = parse_fields(body)
    return InferenceRequest(model="m", requested_model="m", path=path, body=body, fields=fields, user=user)


def put_by(app, user="al", body=PROMPT, **more):
    """One request, as the model middleware hands it in."""
    return ask(app, body, **{REQUEST.key: request_of(user, body)}, **more)
