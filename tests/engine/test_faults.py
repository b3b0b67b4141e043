import asyncio

import pytest

from aibrix_mw.engine.faults import MODES, EngineDiedError, Fault, Faults, hang_up

STREAM = {"prompt": "x", "stream": True, "max_tokens": 4}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"mode": "explode"}, "unknown fault mode 'explode': one of none, refuse, stall, die, error"),
        ({"mode": "die", "after_chunks": -1}, "after_chunks"),
        ({"mode": "error", "status": 200}, "status"),
        ({"mode": "error", "count": 0}, "count"),
    ],
)
def test_a_fault_that_cannot_be(fields, part):
    with pytest.raises(ValueError, match=part):
        Fault(**fields)


def test_a_counted_fault_ends_by_itself():
    faults = Faults()
    faults.set(Fault("error", count=2))
    assert [faults.strike().mode for _ in range(3)] == ["error", "error", "none"]


def test_an_uncounted_fault_stays_until_cleared():
    faults = Faults()
    faults.set(Fault("stall"))
    faults.not_ready = True
    assert [faults.strike().mode for _ in range(3)] == ["stall"] * 3
    faults.clear()
    assert faults.strike().mode == "none"
    assert not faults.not_ready


def test_snapshot():
    faults = Faults()
    faults.set(Fault("die", after_chunks=2, count=3))
    faults.strike()
    expected = {"mode": "die", "after_chunks": 2, "status": 503, "count": 2, "not_ready": False}
    assert faults.snapshot() == expected


async def test_error(quick, call):
    engine = quick()
    engine.faults.set(Fault("error", status=502, count=1))
    failed, fine = call(engine), call(engine)
    await asyncio.gather(failed.task, fine.task)
    assert (failed.status, fine.status) == (502, 200)
    assert b'"code":502' in failed.chunks[0]


async def test_refuse_sends_what_no_server_can_write(quick, call):
    engine = quick()
    engine.faults.set(Fault("refuse"))
    refused = call(engine)
    await refused.task
    assert len(refused.messages) == 1
    assert (b"x-simulated-fault", b"\0") in refused.messages[0]["headers"]
    assert len(engine.journal.last) == 1


async def test_hanging_up_on_a_server_that_notices():
    async def send(message):
        raise RuntimeError("Invalid HTTP header value.")

    with pytest.raises(EngineDiedError):
        await hang_up(send)


@pytest.mark.parametrize("body", [STREAM, {"prompt": "x"}])
async def test_stall_before_the_head(make, call, time, body):
    engine = make()
    engine.faults.set(Fault("stall"))
    stalled = call(engine, body=body)
    await time.advance(1000)
    assert stalled.messages == []
    stalled.leave()
    await time.advance(0)
    assert stalled.task.done()


@pytest.mark.parametrize("chunks", [0, 2])
async def test_stall_in_the_middle(make, call, time, chunks):
    engine = make()
    engine.faults.set(Fault("stall", after_chunks=chunks))
    stalled = call(engine, body=STREAM)
    await time.advance(1000)
    assert (stalled.status, len(stalled.chunks), stalled.complete) == (200, chunks, False)
    assert engine.scheduler.running == 1
    stalled.leave()
    await time.advance(0)
    assert stalled.task.done()
    assert (engine.scheduler.running, engine.finished()["abort"]) == (0, 1)


@pytest.mark.parametrize(("chunks", "through"), [(None, 0), (0, 0), (3, 3), (99, 6)])
async def test_die_in_a_stream(quick, call, chunks, through):
    engine = quick()
    engine.faults.set(Fault("die", after_chunks=chunks))
    dying = call(engine, body=STREAM)
    await dying.task
    assert (dying.status, len(dying.chunks), dying.complete) == (200, through, False)
    assert engine.scheduler.running == 0


@pytest.mark.parametrize("chunks", [0, 1])
async def test_die_in_an_answer_that_is_not_streamed(quick, call, chunks):
    engine = quick()
    engine.faults.set(Fault("die", after_chunks=chunks))
    dying = call(engine)
    await dying.task
    length = int(dict(dying.messages[0]["headers"])[b"content-length"])
    assert len(b"".join(dying.chunks)) == chunks * (length // 2)
    assert not dying.complete


async def test_over_http(quick, http):
    engine = quick()
    client = http(engine)
    answer = await client.post("/sim/faults", json={"mode": "die", "after_chunks": 3, "count": 1})
    assert answer.json() == engine.faults.snapshot()
    assert engine.faults.current == Fault("die", after_chunks=3, count=1)
    await client.post("/sim/faults", json={"not_ready": True})
    assert engine.faults.current.mode == "die"
    assert (await client.get("/health")).status_code == 503
    await client.post("/sim/faults", json={"mode": "none", "not_ready": False})
    assert engine.faults.current == Fault()
    assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("order", "part"),
    [
        ({"mode": "explode"}, "one of none, refuse"),
        ({"mode": "die", "after": 3}, "after"),
        ({"mode": "die", "after_chunks": -1}, "after_chunks: 0 or more"),
        ({}, "nothing to set"),
    ],
)
async def test_an_order_that_cannot_be(quick, http, order, part):
    answer = await http(quick()).post("/sim/faults", json=order)
    assert answer.status_code == 400
    assert part in answer.json()["error"]["message"]


def test_modes():
    assert {Fault(mode).mode for mode in MODES} == {"none", "refuse", "stall", "die", "error"}
