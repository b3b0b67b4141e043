"""Clients in the middle of a stream: one that is the openai library, one that looks at the bytes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
from openai.types.chat import ChatCompletionChunk

LONG = {"messages": [{"role": "user", "content": "tell me a long story"}], "temperature": 0.0}


class Reader:
    """Reads one streamed chat completion and remembers what came."""

    def __init__(self, model: str, tokens: int) -> None:
        self.model = model
        self.tokens = tokens
        self.address = ""  # of the engine that serves it
        self.begun = asyncio.Event()
        self.events: list[dict[str, Any]] = []
        self.done = False
        self.error: Exception | None = None
        self.ended = 0.0

    async def read(self) -> None:
        """Read to the end, whichever it is."""
        try:
            await self._read()
        except (openai.APIError, httpx.TransportError) as error:
            self.error = error
        finally:
            self.ended = time.monotonic()
            self.begun.set()

    async def _read(self) -> None:
        raise NotImplementedError

    def _saw(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event.get("choices"):
            self.begun.set()

    @property
    def running(self) -> bool:
        return self.begun.is_set() and not self.ended

    @property
    def generated(self) -> int:
        """Tokens of the whole answer, as the engine counts them; 0 when it never came to say so."""
        usage = self.events[-1].get("usage") if self.events else None
        return usage["completion_tokens"] if usage else 0


class LibraryReader(Reader):
    def __init__(self, client: openai.AsyncOpenAI, model: str, tokens: int) -> None:
        super().__init__(model, tokens)
        self._client = client

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[ChatCompletionChunk]]:
        """The events, for as long as the block lasts; who leaves it earlier has left."""
        answer = await self._client.chat.completions.with_raw_response.create(
            model=self.model,
            max_tokens=self.tokens,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
            **LONG,
        )
        self.address = answer.headers["target-pod-ip"]
        async with answer.parse() as events:
            yield aiter(events)

    async def _read(self) -> None:
        async with self.stream() as events:
            async for event in events:
                self._saw(event.model_dump())
        self.done = True


class RawReader(Reader):
    def __init__(self, http: httpx.AsyncClient, model: str, tokens: int) -> None:
        super().__init__(model, tokens)
        self._http = http

    async def _read(self) -> None:
        body = {"model": self.model, "max_tokens": self.tokens, "stream": True, "ignore_eos": True, **LONG}
        body["stream_options"] = {"include_usage": True}
        async with self._http.stream("POST", "/v1/chat/completions", json=body) as answer:
            self.address = answer.headers["target-pod-ip"]
            async for line in answer.aiter_lines():
                self._line(line)

    def _line(self, line: str) -> None:
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            self.done = True
        elif data:
            self._saw(json.loads(data))


def assert_broken(reader: Reader) -> None:
    """The client is told in the stream and by the library, and never that the answer is complete."""
    assert not reader.done
    assert reader.generated == 0
    if isinstance(reader, RawReader):
        assert isinstance(reader.error, httpx.RemoteProtocolError)
        assert reader.events[-1]["error"]["code"] == "upstream_error"
    else:
        assert isinstance(reader.error, openai.APIError)
        assert reader.error.code == "upstream_error"
