"""The table of raw requests, on the server that serves the gateway and on one that lets more through."""

import re

import pytest

from tests.faults.raw import ROWS, gateway, status_of

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection", "proxy-authorization"}

# what uvicorn with h11 makes of rows where our server says something else
OTHERWISE_WITH_H11 = {
    "F4 the same length twice": 200,  # h11 reads them as one
    "F4 length 14, 14": 200,  # and these
    "F9 a folded value": 200,  # h11 unfolds it
    "header lines that end without CR": 200,
}


def of(*faults):
    rows = [row for row in ROWS if row.fault in faults]
    return pytest.mark.parametrize("row", rows, ids=repr)


async def as_the_table_says(row):
    async with gateway() as served:
        answer = await served.ask(row.raw)
        assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (row.answer, 1)
        assert b"\r\nx-request-id: " in answer
        assert len(served.seen) == (row.answer == 200)
        check_seen(served.seen)


def check_seen(requests):
    """What reaches an engine is one well-formed request, whatever the client has sent."""
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *fields = head.decode("ascii").split("\r\n")
        assert re.fullmatch(r"POST /v1/chat/completions(\?[\x21-\x7e]*)? HTTP/1\.1", line)
        names = [field.partition(":")[0].lower() for field in fields]
        assert all(re.fullmatch(r"[a-z0-9-]+: [\t\x20-\x7e]*", field, re.IGNORECASE) for field in fields)
        assert names.count("host") == 1
        assert names.count("content-length") + names.count("transfer-encoding") == 1
        assert not HOP_BY_HOP.intersection(names)
        assert body == (b'{"model": "m"}' if "content-length" in names else b'e\r\n{"model": "m"}\r\n0\r\n\r\n')


@of("good")
async def test_what_is_well_formed(row):
    await as_the_table_says(row)


@of("F1")
async def test_f01_both_framings(row):
    await as_the_table_says(row)


@of("F3")
async def test_f03_odd_codings(row):
    await as_the_table_says(row)


@of("F4")
async def test_f04_odd_lengths(row):
    await as_the_table_says(row)


@of("F5")
async def test_f05_odd_chunks(row):
    await as_the_table_says(row)


@of("F7")
async def test_f07_odd_targets(row):
    await as_the_table_says(row)


@of("F9")
async def test_f09_odd_characters(row):
    await as_the_table_says(row)


@of("F72")
async def test_f72_hidden_paths(row):
    await as_the_table_says(row)


@of("host", "header")
async def test_odd_hosts_and_headers(row):
    await as_the_table_says(row)


@pytest.mark.parametrize("row", ROWS, ids=repr)
async def test_under_uvicorn_with_h11(row):
    async with gateway(server="h11") as served:
        answer = await served.ask(row.raw)
        expected = OTHERWISE_WITH_H11.get(repr(row), row.answer)
        assert status_of(answer) == expected
        assert len(served.seen) == (expected == 200)
        check_seen(served.seen)


def test_the_table_is_long_enough_and_none_is_twice():
    assert len({repr(row) for row in ROWS}) == len({row.raw for row in ROWS}) == len(ROWS) >= 41
    assert {repr(row) for row in ROWS} >= OTHERWISE_WITH_H11.keys()
