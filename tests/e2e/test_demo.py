"""`aibrix-mw demo`, and its tour."""

import signal
import socket

import httpx

from aibrix_mw.demo.features import FEATURES
from aibrix_mw.demo.stage import Stage
from aibrix_mw.demo.tour import Feature, take_tour
from tests.e2e.support import CHAT, chat

ANY_PORTS = ("--port", "0", "--admin-port", "0")


def test_the_tour_sees_what_it_expects(run):
    tour = run("demo", "--tour", *ANY_PORTS)
    assert tour.ended(45) == 0, tour.output
    rows = [line for line in tour.output.splitlines() if line.endswith("| yes")]
    assert len(rows) == len(FEATURES)
    assert f"{len(FEATURES)} of {len(FEATURES)} as expected" in tour.output
    assert "simulated" in tour.output


async def test_a_difference_is_told(tmp_path):
    async def two(visitor):
        return "two"

    async def broken(visitor):
        raise ValueError("nobody there")

    lines: list[str] = []
    stage = Stage(1, 1, {}, tmp_path / "settings.yaml", tmp_path / "pods.json")
    features = [Feature("one", "one", two), Feature("two", "two", two), Feature("three", "three", broken)]
    assert not await take_tour(stage, features, lines.append)
    assert [line.split() for line in lines[3:6]] == [
        ["one", "|", "one", "|", "two", "|", "NO"],
        ["two", "|", "two", "|", "two", "|", "yes"],
        ["three", "|", "three", "|", "ValueError", "nobody", "there", "|", "NO"],
    ]
    assert lines[-1].startswith("\n1 of 3 as expected")


async def test_demo_serves_until_it_is_interrupted(run):
    demo = run("demo", *ANY_PORTS)
    demo.said("Ctrl-C ends it")
    assert "simulated" in demo.output
    url = demo.said(r"gateway  (\S+)")[1]
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(CHAT, json=chat(), headers={"config-profile": "batch"})
    assert answer.headers["x-aibrix-config-profile"] == "batch"
    demo.signal(signal.SIGINT)
    assert demo.ended() == 0


def test_ports_of_the_demo(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("demo", "--port", str(taken.getsockname()[1]))
        assert refused.ended() == 1
        assert "error: listen.port: cannot listen: " in refused.output
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    demo = run("demo", "--admin-port", str(port))
    demo.said("Ctrl-C ends it")
    assert f"admin    http://127.0.0.1:{port}" in demo.output


def test_an_interrupted_tour_has_not_seen_all(run):
    tour = run("demo", "--tour", *ANY_PORTS)
    tour.said(f"{len(FEATURES)} features")
    tour.signal(signal.SIGTERM)
    assert tour.ended() == 1
