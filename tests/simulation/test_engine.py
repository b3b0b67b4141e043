"""The engine's time, by hand: a step costs 10 ms, a prompt token 1 ms, a decoding sequence 1 ms, 100 tokens a step."""

import msgspec
import pytest

from aibrix_mw.simulation.engine import Engine, EngineModel, Run
from aibrix_mw.simulation.loop import Loop

MODEL = EngineModel(
    prefill_seconds=0.001,
    step_seconds=0.010,
    decode_seconds=0.001,
    batch_tokens=100,
    max_running=4,
    kv_blocks=100,
    block_tokens=10,
)


class Stage:
    """An engine and what is heard of its requests: name -> (first token, end)."""

    def __init__(self, **changes):
        self.loop = Loop()
        self.engine = Engine(msgspec.structs.replace(MODEL, **changes), self.loop)
        self.first, self.ended, self.runs = {}, {}, {}

    def ask(self, name, prompt, output, *, at=0.0, prefix=None):
        """A request whose prompt is that of `prefix`, as far as there is one, and then its own."""
        prompts = [hash((prefix or name, block)) for block in range(prompt // 10)]
        answers = [hash((name, "answer", block)) for block in range((prompt + output) // 10 - prompt // 10)]
        run = Run(
            prompt,
            output,
            tuple(prompts),
            (*prompts, *answers),
            lambda run: self.first.setdefault(name, self.loop.now),
            lambda run: self.ended.setdefault(name, self.loop.now),
        )
        self.runs[name] = run
        self.loop.at(at, self.engine.submit, run)

    def figures(self, page=None):
        lines = (page or self.engine.page()).decode().splitlines()
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.fixture
def stage():
    return Stage()


def test_one_request(stage):
    stage.ask("a", 50, 3)
    stage.loop.run()
    assert stage.first["a"] == pytest.approx(0.060)  # 10 ms + 50 tokens
    assert stage.ended["a"] == pytest.approx(0.060 + 2 * 0.011)


def test_an_answer_of_one_token_ends_with_it(stage):
    stage.ask("a", 50, 1)
    stage.loop.run()
    assert stage.first["a"] == stage.ended["a"] == pytest.approx(0.060)


def test_half_the_speed_takes_twice_the_time():
    stage = Stage(speed=0.5)
    stage.ask("a", 50, 3)
    stage.loop.run()
    assert stage.ended["a"] == pytest.approx(2 * (0.060 + 2 * 0.011))


def test_long_prompts_are_computed_in_chunks(stage):
    stage.ask("a", 250, 1)
    stage.loop.run()
    assert stage.first["a"] == pytest.approx(3 * 0.010 + 0.250)


def test_a_prompt_joins_after_the_step_under_way_and_slows_the_others_down(stage):
    stage.ask("a", 50, 4)
    stage.ask("b", 40, 1, at=0.065)  # in the first decode step of a, which ends at 0.071
    stage.loop.run()
    assert stage.first["b"] == pytest.approx(0.071 + 0.010 + 0.001 + 0.040)
    assert stage.ended["a"] == pytest.approx(0.122 + 0.011)


def test_the_step_budget_is_shared_with_decoding(stage):
    stage.ask("a", 10, 50)
    stage.ask("b", 100, 1, at=0.025)  # 99 tokens fit beside a
    stage.loop.run()
    assert stage.first["b"] == pytest.approx(0.031 + (0.010 + 0.001 + 0.099) + (0.010 + 0.001 + 0.001))


def test_whoever_finds_no_room_in_the_batch_waits():
    stage = Stage(max_running=1)
    stage.ask("a", 50, 3)
    stage.ask("b", 50, 1)
    stage.loop.at(0.03, lambda: stage.first.setdefault("seen", (stage.engine.running, stage.engine.waiting)))
    stage.loop.run()
    assert stage.first["seen"] == (1, 1)
    assert stage.first["b"] == pytest.approx(stage.ended["a"] + 0.060)


def test_whoever_finds_no_kv_blocks_waits():
    stage = Stage(kv_blocks=10)
    stage.ask("a", 50, 20)
    stage.ask("b", 40, 1)
    stage.loop.run()
    assert stage.runs["b"].started == stage.ended["a"]


def test_a_request_that_never_fits_is_refused(stage):
    stage.ask("a", 1000, 1)
    with pytest.raises(ValueError, match="1000 \\+ 1 tokens never fit"):
        stage.loop.run()


def test_a_cached_prefix_is_not_computed_again(stage):
    stage.ask("a", 80, 1)
    stage.ask("b", 80, 1, at=1.0, prefix="a")
    stage.loop.run()
    assert stage.runs["b"].cached == 70  # the last block is always computed
    assert stage.first["b"] == pytest.approx(1.0 + 0.010 + 0.010)


def test_answers_are_cached_too(stage):
    stage.ask("a", 50, 30)
    stage.loop.run()
    assert stage.engine.kv.hits(stage.runs["a"].all_hashes) == 8
    assert stage.engine.kv.used == 0


def test_the_least_recently_used_makes_room():
    stage = Stage(kv_blocks=10)
    for number in range(4):
        stage.ask(f"r{number}", 50, 1, at=float(number))
    stage.loop.run()
    assert stage.engine.kv.hits(stage.runs["r0"].hashes) == 0
    assert stage.engine.kv.hits(stage.runs["r3"].hashes) == 5


def test_the_page_counts_what_has_happened(stage):
    stage.ask("a", 80, 3)
    stage.ask("b", 80, 1, at=1.0, prefix="a")
    stage.loop.run()
    figures = stage.figures()
    assert figures["vllm:prefix_cache_queries_total"] == 160
    assert figures["vllm:prefix_cache_hits_total"] == 70
    assert figures["vllm:generation_tokens_total"] == 4
    assert figures["vllm:request_generation_tokens_count"] == 2
    assert figures["vllm:request_prefill_time_seconds_sum"] == pytest.approx(0.090 + 0.020)
    assert figures["vllm:request_time_per_output_token_seconds_sum"] == pytest.approx(0.011)
    assert figures["vllm:num_requests_running"] == figures["vllm:kv_cache_usage_perc"] == 0


def test_the_page_counts_tokens_while_they_come(stage):
    stage.ask("a", 50, 100)
    pages = []
    stage.loop.at(0.060 + 5.5 * 0.011, lambda: pages.append(stage.engine.page()))
    stage.loop.run()
    figures = stage.figures(pages[0])
    assert figures["vllm:generation_tokens_total"] == 6
    assert figures["vllm:num_requests_running"] == 1
    assert figures["vllm:kv_cache_usage_perc"] == 0.15
