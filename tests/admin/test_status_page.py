"""The status page in a real browser, at the width of a desk and of a phone."""

import asyncio
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from aibrix_mw.admin.status import page
from tests.admin.test_status import CONFIG, status, tracing
from tests.legs import PAIR, leg
from tests.serving import listening
from tests.support import info

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs the system package chromium")

LONG = "meta-llama/" + "a-name-without-an-end" * 6
# the page in a frame of a width that no window of a browser has, and what can be measured of it
FRAME = """<!doctype html><body><iframe id="frame" src="page" style="width: %dpx; height: 4000px; border: 0"></iframe>
<script>setTimeout(() => {
  const page = document.getElementById("frame").contentDocument;
  const wide = [...page.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > %d + 0.5)
    .map((one) => one.className);
  const found = {width: page.documentElement.scrollWidth, text: page.body.innerText, wide};
  document.body.innerHTML = "";
  document.body.append(JSON.stringify(found));
}, 1500)</script>"""


async def browse(tmp_path, url):
    """Open a page; its document after a while, and what the browser complains of."""
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    more = ["--enable-logging=stderr", "--window-size=1280,1200", "--virtual-time-budget=4000", "--dump-dom"]
    done = await asyncio.to_thread(
        subprocess.run, [CHROMIUM, *quiet, *more, url], capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode(), [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]


@pytest.fixture
async def running():
    """A gateway after some traffic: names that are long or odd, pods of all kinds, refusals, traces, a fault."""
    pods = [
        *PAIR,
        leg(3, "decode", excluded="not_ready"),
        info(4, model=LONG, name="a-pod-with-a-name-" + "x" * 60),
        info(5, model="<b>bold</b>", config="{}"),
    ]
    async with tracing(config=CONFIG, pods=pods) as made:
        for body in (b'{"model": "m"}', b'{"model": "no-such"}', json.dumps({"model": LONG}).encode()):
            await made.ask(body)
        await made.ask(headers=[(b"routing-strategy", b"fastest")])
        yield made


async def test_it_shows_what_there_is(tmp_path, running):
    async with listening(running.gateway.admin, lifespan="off") as url:
        document, complaints = await browse(tmp_path, f"{url}/status")
    text = html.unescape(re.sub(r"<[^>]+>", " ", document.partition("<script>")[0]))
    assert complaints == []
    for shown in ("ready", LONG, "<b>bold</b>", "pod-3", "not_ready", "prefill of a", "unknown_model", "routing_error"):
        assert shown in text
    assert "of 9 this second" in text
    assert "expected at least one profile" in text
    assert document.count('class="trace"') == 4
    assert document.count('class="lane"') >= 6


@pytest.mark.parametrize("width", [1280, 390])
async def test_nothing_is_wider_than_the_screen(tmp_path, running, width):
    async def framed(_request):
        return HTMLResponse(FRAME % (width, width))

    async def bare(_request):
        return HTMLResponse(page())

    async def data(_request):
        return JSONResponse(await status(running))

    app = Starlette(routes=[Route("/frame", framed), Route("/page", bare), Route("/status.json", data)])
    async with listening(app, lifespan="off") as url:
        document, complaints = await browse(tmp_path, f"{url}/frame")
    told = document.partition("<body>")[2].partition("</body>")[0]
    found = json.loads(html.unescape(told))
    assert complaints == []
    assert "Last traces" in found["text"]
    assert (found["width"], found["wide"]) == (width, [])


@pytest.mark.parametrize("name", ["status.png", "status-phone.png"])
def test_the_pictures_of_it_are_small(name):
    picture = (Path(__file__).parents[2] / "examples" / name).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 60_000
