import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.settings.document import Document, read_document


def faults(text):
    return [str(fault) for fault in read_document(text, "f.yaml").faults]


@pytest.mark.parametrize("text", ["1e-06", "5e-324", "-2E+3", "+1e5", "1.e3", "2.5e-1", "1.5"])
def test_numbers_are_read_as_helm_writes_them(text):
    assert read_document(f"a: {text}", "f.yaml").data == {"a": float(text)}


@pytest.mark.parametrize("text", ["e5", "1e", "1e5x", "0x1e-5", "1e-5-6", "'1e5'"])
def test_what_only_resembles_a_number_is_text(text):
    assert read_document(f"a: {text}", "f.yaml").data == {"a": text.strip("'")}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\xff", "f.yaml: not UTF-8 text (byte 0)"),
        ("a: 1\nb: \x07", "f.yaml: not valid YAML: control character (line 2, column 4)"),
        (
            "a: [1",
            (
                "f.yaml: not valid YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>' "
                "(line 1, column 6)"
            ),
        ),
        (
            "a:\n\t- 1",
            (
                "f.yaml: not valid YAML: while scanning for the next token, found character '\\t' that cannot "
                "start any token (line 2, column 1)"
            ),
        ),
        ("? [a]\n: 1", "f.yaml: not valid YAML: while constructing a mapping, found unhashable key (line 1, column 3)"),
        (
            "--- 1\n--- 2",
            (
                "f.yaml: not valid YAML: expected a single document in the stream, but found another document "
                "(line 2, column 1)"
            ),
        ),
        ("a: !!int x", "f.yaml: not valid YAML: a value does not fit its tag"),
        ("a: !!timestamp x", "f.yaml: not valid YAML: a value does not fit its tag"),
        ("a: 2024-99-99", "f.yaml: not valid YAML: a value does not fit its tag"),
        ("[" * 1000, "f.yaml: nested too deeply"),
    ],
)
def test_broken_text_is_told_with_its_place(text, fault):
    assert faults(text) == [fault]


@pytest.mark.parametrize("text", ["password: *hunter2", "password: !hunter2 x", 'password: "hunter2', "a: %hunter2"])
def test_a_message_does_not_repeat_the_text(text):
    (fault,) = faults(text)
    assert "hunter2" not in fault
    assert "line 1" in fault or "line 2" in fault


def test_each_key_knows_its_line_and_a_second_one_is_a_fault():
    document = read_document("a:\n  b: 1\n  c: [{d: 1}, {d: 1, d: 2}]\n  b: 2\na: 3\n", "f.yaml")
    assert document.lines == {"a": 1, "a.b": 2, "a.c": 3, "a.c[0].d": 3, "a.c[1].d": 3}
    assert [str(fault) for fault in document.faults] == [
        "a.c[1].d: the key is given twice (lines 3 and 3)",
        "a.b: the key is given twice (lines 2 and 4)",
        "a: the key is given twice (lines 1 and 5)",
    ]


def test_anchors_and_merge_keys_are_no_duplicates():
    text = "x: &x {p: 1, q: 2}\ny: {<<: *x, q: 3}\nz: *x\n"
    document = read_document(text, "f.yaml")
    assert document.faults == []
    assert document.data == {"x": {"p": 1, "q": 2}, "y": {"p": 1, "q": 3}, "z": {"p": 1, "q": 2}}
    assert document.lines["z"] == 3


def test_a_document_that_contains_itself_ends():
    assert read_document("a: &a {b: *a}", "f.yaml").lines == {"a": 1, "a.b": 1}


def test_nothing_and_a_byte_order_mark_are_fine():
    assert read_document(b"", "f.yaml") == Document()
    assert read_document("# only a comment", "f.yaml") == Document()
    assert read_document(b"\xef\xbb\xbfa: 1", "f.yaml").data == {"a": 1}


@given(st.text() | st.binary() | st.text(alphabet="ab:-[]{}&*!?<>|'\"#%@,\n\t 01"))
def test_no_text_raises(text):
    read_document(text, "f.yaml")


@pytest.mark.parametrize("text", [r'a: "\ud800"', r'"\udfff": 1', r'[1, {a: "x\uD800"}]', r'"\ud83d\ude00"'])
def test_half_a_character_is_no_text(text):
    (fault,) = read_document(text, "file").faults
    assert str(fault) == "file: not valid YAML: an escape is no character (line 1)"
