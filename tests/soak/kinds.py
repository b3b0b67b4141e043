"""What clients ask for, and how: one function a kind, all chance from the generator that it is given."""

import json
from collections.abc import Iterator
from functools import partial
from random import Random

from tests.soak.plans import CHAT, COMPLETIONS, FORMS, STRATEGIES, Kind, Plan, ask, cut, request
from tests.soak.seen import DOOR, UNFINISHED
from tests.soak.stage import ALIAS, GREEDY, MODEL, PAIR, TIGHT

LONG = 8000
"""Tokens of a stream that outlasts every client which leaves it, at the engines' speed."""
MALFORMED = b"BREW /pot HTCPCP/1.0\r\n\r\n"


def whole(rng, request_id):
    path = rng.choice((CHAT, COMPLETIONS))
    return Plan("whole", [ask(rng, request_id, path, max_tokens=rng.randint(1, 20))])


def stream(rng, request_id):
    path, usage = rng.choice((CHAT, COMPLETIONS)), {"include_usage": rng.random() < 0.5}
    return Plan(
        "stream", [ask(rng, request_id, path, stream=True, stream_options=usage, max_tokens=rng.randint(2, 60))]
    )


def one_write(rng, request_id):
    return Plan("one write", [ask(rng, request_id, model=TIGHT, stream=True, max_tokens=rng.randint(1, 30))])


def alias(rng, request_id):
    return Plan("alias", [ask(rng, request_id, model=ALIAS, max_tokens=2)])


def pair(rng, request_id):
    fields = {"routing-strategy": ""}
    return Plan("pair", [ask(rng, request_id, COMPLETIONS, PAIR, fields, stream=rng.random() < 0.5, max_tokens=8)])


def limited(rng, request_id):
    return Plan("limited", [ask(rng, request_id, model=TIGHT, max_tokens=1)])


def greedy(rng, request_id):
    return Plan("greedy", [ask(rng, request_id, headers={"user": GREEDY}, max_tokens=1)])


def unknown(rng, request_id):
    return Plan("unknown", [ask(rng, request_id, model="nobody")])


def odd_strategy(rng, request_id):
    return Plan("odd strategy", [ask(rng, request_id, headers={"routing-strategy": "random:3,prefix-cache:1"})])


def nowhere(_rng, request_id):
    return Plan("nowhere", [request("/v1/nowhere", b"{}", {"x-request-id": request_id})])


def models(_rng, request_id):
    return Plan("models", [request("/v1/models", b"", {"x-request-id": request_id}, "GET")])


def large(rng, request_id):
    raw = request(CHAT, _padded(rng.randint(100_000, 1_500_000)), {"x-request-id": request_id})
    return Plan("large", cut(raw, 65_536), pause=rng.choice((0.0, 0.02)))


def too_large(_rng, request_id):
    raw = request(CHAT, _padded(4_300_000), {"x-request-id": request_id})
    return Plan("too large", cut(raw, 65_536))


def _padded(size: int) -> bytes:
    message = {"role": "user", "content": "word " * (size // 5)}
    return json.dumps({"model": MODEL, "messages": [message], "max_tokens": 1}).encode()


def form(rng, request_id):
    mark = "boundary"
    part = f'--{mark}\r\ncontent-disposition: form-data; name="{{}}"\r\n\r\n'
    file = bytes(rng.randrange(256) for _ in range(64)) * rng.randint(1, 4000)
    body = part.format("model").encode() + f"{MODEL}\r\n".encode() + part.format("file").encode() + file
    body += f"\r\n--{mark}--\r\n".encode()
    fields = {"content-type": f"multipart/form-data; boundary={mark}", "x-request-id": request_id}
    return Plan("form", cut(request(FORMS, body, fields), 32_768))


def not_json(_rng, request_id):
    return Plan("not JSON", [request(CHAT, b'{"model": ', {"x-request-id": request_id})])


def compressed(_rng, request_id):
    return Plan("compressed", [request(CHAT, b"{}", {"x-request-id": request_id, "content-encoding": "gzip"})])


def no_host(_rng, request_id):
    return Plan("no host", [request(CHAT, b"{}", {"x-request-id": request_id, "host": ""})], fresh=True)


def malformed(_rng, _request_id):
    return Plan("malformed", [MALFORMED], fresh=True, lined=False, left=DOOR)


def slow_head(rng, request_id):
    raw = ask(rng, request_id)
    return Plan("slow head", [raw[:40]], fresh=True, lined=False, left=DOOR)


def leaves_in_head(rng, request_id):
    raw = ask(rng, request_id)
    return Plan("leaves in head", [raw[:40]], stay=rng.random(), fresh=True, lined=False, left=DOOR)


def leaves_in_body(rng, request_id):
    raw = ask(rng, request_id, max_tokens=5)
    may = frozenset({"client_cancelled", "overloaded"})
    return Plan("leaves in body", [raw[:-5]], stay=rng.random(), fresh=True, left=may)


def leaves_waiting(rng, request_id):
    """Of an answer that is whole only after minutes nothing comes before that."""
    raw = ask(rng, request_id, max_tokens=LONG)
    return Plan("leaves waiting", [raw], stay=rng.uniform(0, 2), left=UNFINISHED)


def leaves_stream(rng, request_id):
    raw = ask(rng, request_id, stream=True, max_tokens=LONG)
    upto, pace = rng.randint(1, 40_000), rng.choice((0, 0, 0.05))
    return Plan("leaves stream", [raw], upto=upto, stay=5, pace=pace, fresh=pace > 0, left=UNFINISHED)


def leaves_some_time(rng, request_id):
    raw = ask(rng, request_id, stream=rng.random() < 0.5, max_tokens=rng.randint(1, 20))
    return Plan("leaves some time", [raw], stay=rng.uniform(0, 0.3))


def slow_reader(rng, request_id):
    raw = ask(rng, request_id, stream=True, max_tokens=rng.randint(300, 700))
    return Plan("slow reader", [raw], pace=0.15, fresh=True)


WEIGHTS: dict[Kind, float] = {
    whole: 20,
    stream: 25,
    one_write: 4,
    alias: 3,
    pair: 8,
    limited: 6,
    greedy: 3,
    unknown: 2,
    odd_strategy: 1,
    nowhere: 1,
    models: 1,
    large: 1,
    too_large: 0.3,
    form: 2,
    not_json: 1,
    compressed: 1,
    no_host: 1,
    malformed: 1,
    slow_head: 1,
    leaves_in_head: 2,
    leaves_in_body: 2,
    leaves_waiting: 3,
    leaves_stream: 5,
    leaves_some_time: 5,
    slow_reader: 2,
}


def first(model: str, strategy: str, rng: Random, request_id: str) -> Plan:
    return Plan("first", [ask(rng, request_id, model=model, headers={"routing-strategy": strategy}, max_tokens=1)])


def everything() -> Iterator[Kind]:
    """Each strategy for each model, as the traffic has them: what they need in the background, they need from then."""
    yield partial(first, PAIR, "")
    for model in (MODEL, TIGHT):
        yield from (partial(first, model, strategy) for strategy in STRATEGIES)


def draw(rng: Random, request_id: str) -> Plan:
    """Some request."""
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return kind(rng, request_id)
