import msgspec

from aibrix_mw.simulation.content import content_of, request_of, words
from aibrix_mw.simulation.trace import Entry

FIRST = Entry(0.0, 160, blocks=(("system", 512), ("q0", 200)), session="s", user="u", answer="a0")
SECOND = Entry(9.0, 160, blocks=(*FIRST.blocks, ("a0", 160), ("q1", 200)), session="s", user="u", answer="a1")


def common(one, other):
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def test_a_token_is_four_bytes():
    assert len(words("anything", 3)) == 12
    assert words("a", 50)[:40] == words("a", 10)
    assert words("a", 10) != words("b", 10)


def test_a_later_turn_begins_with_the_earlier_one_and_its_answer():
    first, second = content_of(FIRST, 16), content_of(SECOND, 16)
    assert first.prompt_tokens == 712
    assert len(first.hashes) == 44  # 712 / 16, whole ones
    assert first.all_hashes[:44] == first.hashes
    assert second.hashes[:54] == first.all_hashes  # 872 / 16, whole ones
    assert common(second.hashes, content_of(FIRST, 16).all_hashes) == 54


def test_sessions_share_the_system_prompt_only():
    other = msgspec.structs.replace(FIRST, blocks=(("system", 512), ("q9", 200)))
    assert common(content_of(FIRST, 16).hashes, content_of(other, 16).hashes) == 512 // 16


def test_the_gateway_sees_a_chat():
    request = request_of(SECOND)
    messages = msgspec.json.decode(request.prompt)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"].encode() == words("system", 512)
    assert request.prompt[: len(request_of(FIRST).prompt) - 1] == request_of(FIRST).prompt[:-1]
    assert (request.user, request.stream, request.path) == ("u", True, "/v1/chat/completions")
    assert request.header(b"x-aibrix-session-key") == b"s"


def test_a_single_block_is_the_users():
    (message,) = msgspec.json.decode(request_of(Entry(0.0, 1, blocks=(("q", 5),))).prompt)
    assert message["role"] == "user"


def test_a_text_is_a_completion():
    entry = Entry(0.0, 1, text="x" * 70)
    request = request_of(entry)
    assert (request.path, request.prompt, request.user) == ("/v1/completions", b'"' + b"x" * 70 + b'"', None)
    content = content_of(entry, 16)
    assert (content.prompt_tokens, len(content.hashes)) == (18, 1)


def test_answers_without_a_name_differ():
    one, other = (Entry(at, 160, text="x" * 640, session="s") for at in (0.0, 1.0))
    assert content_of(one, 16).hashes == content_of(other, 16).hashes
    assert content_of(one, 16).all_hashes != content_of(other, 16).all_hashes
