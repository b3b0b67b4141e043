"""F69, F70: prompts and keys stay where they belong, whatever goes wrong."""

import hmac
import json
import logging

import pytest

from aibrix_mw import keys
from aibrix_mw.errors import UpstreamError
from aibrix_mw.keys import Key, KeyRing, hash_of
from tests.middleware.tracing_support import tracing
from tests.support import CHAT, FakeAnswer, Running, ask

CANARY = "canary-4f1c"
PROMPT = json.dumps({"model": "m", "messages": [{"role": "user", "content": CANARY}]}).encode()
BROKEN = PROMPT[:-2]
WRONG = PROMPT.replace(b'"m"', b'["%b"]' % CANARY.encode())
FORM = b'--x\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n%b\r\n--x--' % CANARY.encode()


def engine(request):
    raise UpstreamError("the engine cannot be reached", "connect")


def crash(request):
    raise RuntimeError("a bug")


class Exported(list[bytes]):
    """What goes to a collector, as it is on the wire."""

    def __init__(self, traced):
        super().__init__()
        self.traced, self.take = traced, traced.receiver.take
        traced.receiver.take = self._keep

    def _keep(self, body):
        self.append(body)
        self.take(body)

    def told(self):
        assert self.traced.spans()
        return b"".join(self).decode("latin-1")


@pytest.fixture
def exported():
    with tracing() as traced:
        yield Exported(traced)


@pytest.mark.parametrize(
    ("body", "script"),
    [(PROMPT, None), (BROKEN, None), (WRONG, None), (FORM, None), (PROMPT, engine), (PROMPT, crash)],
)
async def test_f69_a_prompt_is_in_no_log_no_span_and_no_metric(caplog, exported, body, script):
    caplog.set_level(logging.DEBUG)
    asked = {"headers": [(b"content-type", b"multipart/form-data; boundary=x")]} if body is FORM else {}
    config = {"profiles": {"default": {"requestsPerSecond": 1}}}
    async with Running(script, config=config, outer=[exported.traced.layer()]) as running:
        replies = []
        for path in (CHAT, CHAT, "/v1/audio/translations", "/no/such/path"):
            try:
                replies.append(await running.ask(body, path, **asked))
            except RuntimeError as error:
                assert CANARY not in repr(error)  # noqa: PT017
        metrics = (await ask(running.gateway.admin, b"", "/metrics", method="GET")).body
        status = (await ask(running.gateway.admin, b"", "/status.json", method="GET")).body
    assert replies
    told = [caplog.text, exported.told(), metrics.decode(), status.decode()]
    told += [repr(reply.messages) for reply in replies]
    assert not [text for text in told if CANARY in text]


@pytest.fixture
def guarded(tmp_path):
    (tmp_path / "keys.yaml").write_text(f"- {{name: al, sha256: {hash_of(CANARY)}}}\n")
    return {"auth": {"keys_file": str(tmp_path / "keys.yaml")}}


@pytest.mark.parametrize("script", [None, engine, crash, lambda _: FakeAnswer(b"{}", status=500)])
@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
async def test_f70_a_key_is_in_no_log_no_span_no_metric_and_no_request(caplog, exported, guarded, script, name):
    caplog.set_level(logging.DEBUG)
    value = b"Bearer " * (name == b"authorization") + CANARY.encode()
    async with Running(script, outer=[exported.traced.layer()], **guarded) as running:
        try:
            reply = await running.ask(headers=[(name, value)])
            assert CANARY not in repr(reply.messages)
        except RuntimeError as error:
            assert CANARY not in repr(error)  # noqa: PT017
        metrics = (await ask(running.gateway.admin, b"", "/metrics", method="GET")).body
        sent = [(request.headers, request.body) for request in running.upstream.requests]
    assert sent
    assert CANARY not in caplog.text + exported.told() + metrics.decode() + repr(sent)


def test_f70_hashes_are_compared_in_constant_time(monkeypatch):
    """Whole hashes are compared, by the function that takes the same time wherever they differ."""
    assert vars(keys)["compare_digest"] is hmac.compare_digest
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr("aibrix_mw.keys.compare_digest", compare)
    good = Key("al", "team")
    ring = KeyRing([(hash_of("good"), good)])
    assert ring.find(b"good") is good
    assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]
    assert ring.find(b"other") is None
    assert len(compared) == 1  # a guess that shares no 8 bytes of a hash is compared with nothing
