from itertools import islice
from random import Random

import msgspec
import pytest

from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.protocol import ChatRequest, CompletionRequest, read_generation
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.sizing.workload import Texts, Workload, read_requests

ENGINE = EngineOptions(models=("m",))


def asked(workload, count=20):
    """What the simulated engine understands."""
    kind = CompletionRequest if workload.api == "completions" else ChatRequest
    bodies = list(islice(workload.bodies(Random(1)), count))
    return [read_generation(body, kind, ENGINE) for body in bodies], bodies


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_requests_have_the_sizes_asked_for(api):
    workload = Workload("m", api, prompt_tokens=300, output_tokens=7, bytes_per_token=4.0)
    asks, bodies = asked(workload)
    assert all(abs(ask.job.prompt_tokens - 300) <= 10 for ask in asks)
    assert {(ask.job.max_tokens, ask.stream, ask.include_usage, ask.model) for ask in asks} == {(7, True, True, "m")}
    assert msgspec.json.decode(bodies[0])["ignore_eos"] is True


def test_calibration_makes_sizes_exact():
    rough = Workload("m", prompt_tokens=300, bytes_per_token=5.5)
    texts = Texts(Random(0))
    seen = []
    for size in (400, 1200):
        ask = read_generation(rough.body(texts.make(size)), ChatRequest, ENGINE)
        seen.append((size, ask.job.prompt_tokens))
    asks, _ = asked(rough.calibrated(*seen))
    assert {ask.job.prompt_tokens for ask in asks} == {300}


def test_a_calibration_that_tells_nothing():
    workload = Workload("m")
    assert workload.calibrated((10, 0), (20, 0)) is workload
    assert workload.calibrated((10, 3), (10, 9)) is workload
    assert Workload("m", file="f").calibrated((10, 3), (20, 9)).overhead == 0.0


def test_no_two_prompts_begin_alike():
    asks, _ = asked(Workload("m", prompt_tokens=64, bytes_per_token=4.0), 200)
    assert len({ask.job.hashes[1] for ask in asks}) == 200  # the first block has the chat template's begin


def test_a_prompt_shorter_than_its_template():
    asks, _ = asked(Workload("m", prompt_tokens=1, overhead=20.0), 1)
    assert asks[0].job.prompt_tokens > 0


def test_a_text_longer_than_the_corpus():
    assert len(Texts(Random(0)).make(2_000_000)) == 2_000_000


def test_requests_of_a_file(tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text('{"messages": [], "max_tokens": 5, "model": "other", "temperature": 0.5}\n\n{"messages": [1]}\n')
    bodies = [msgspec.json.decode(body) for body in islice(Workload("m", file=str(file)).bodies(Random(2)), 4)]
    assert bodies[0] == bodies[2] != bodies[1] == bodies[3]
    (first,) = (body for body in bodies[:2] if body["messages"] == [])
    assert first == {
        "messages": [],
        "max_tokens": 5,
        "model": "m",
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no request"),
        ('{"prompt": "x"}\n', r"requests.jsonl:1: a request body with `messages` is expected"),
        ('{"messages": []}\n[]\n', r"requests.jsonl:2: Expected `object`"),
    ],
)
def test_files_that_hold_no_requests(tmp_path, text, reason):
    file = tmp_path / "requests.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read_requests(file, "chat")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read_requests(tmp_path / "missing.jsonl", "chat")
