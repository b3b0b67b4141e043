"""`aibrix-mw demo`: the gateway in front of simulated engines, in one process on the loopback address.

stage.py     engines, files and addresses
tour.py      drives the running gateway with an HTTP client and compares what it sees with what it expects
features.py  one row a feature; answers.py, choices.py, limits.py, failures.py, changes.py and operators.py look
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from aibrix_mw.app import create_app
from aibrix_mw.demo.features import FEATURES
from aibrix_mw.demo.stage import LIMIT, LOOPBACK, MODEL, Stage, open_engines, open_store, write_files
from aibrix_mw.demo.tour import take_tour
from aibrix_mw.parts.observing import keep_traces, tracing_layers
from aibrix_mw.server import Server, new_loop
from aibrix_mw.settings import LogSettings, load
from aibrix_mw.telemetry.logs import set_up_logging

Echo = Callable[[str], object]

_HANDY = 50.0  # tokens per second that show that an answer streams
_BRISK = 500.0


def run_demo(echo: Echo, *, port: int | None = None, admin_port: int | None = None, tour: bool = False) -> bool:
    """Run until a signal, or until the tour is over; whether all was as expected.

    ConfigurationError when a port that is asked for is taken.
    """
    ports = _free(port, 8080), _free(admin_port, 8081, taken=port)
    # what the tour breaks is reported as it should be, and not what one wants to read here
    set_up_logging(LogSettings(level="critical" if tour else "info", format="text"))
    logging.getLogger("aibrix_mw.access").disabled = tour
    with (
        TemporaryDirectory(prefix="aibrix-mw-demo-") as folder,
        open_store() as store,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        return runner.run(_run(echo, Path(folder), ports, store, tour=tour))


def _free(wanted: int | None, usual: int, taken: int | None = None) -> int:
    """The port that is wanted, else the usual one, else 0, which stands for any."""
    if wanted is not None:
        return wanted
    try:
        with socket.create_server((LOOPBACK, usual)):
            return usual if usual != taken else 0
    except OSError:
        return 0


async def _run(echo: Echo, folder: Path, ports: tuple[int, int], store: str | None, *, tour: bool) -> bool:
    async with open_engines(_BRISK if tour else _HANDY) as engines:
        settings, pods = write_files(folder, ports, engines, store)
        loaded = load(settings, env={})
        tracing = keep_traces(loaded)
        gateway = create_app(loaded, outer=tracing_layers(loaded, tracing))
        gateway.tracing = tracing
        gateway.follow(settings, lambda: load(settings, env={}))
        touring: list[asyncio.Task[bool]] = []

        def ready(server: Server) -> None:
            stage = Stage(server.client.port, server.admin.port, engines, settings, pods, store)
            if not tour:
                echo(what_to_try(stage))
                return
            touring.append(asyncio.create_task(take_tour(stage, FEATURES, echo)))
            touring[0].add_done_callback(lambda _: server.stop())

        await Server(gateway).run(ready)
        return await _result(touring[0]) if tour else True


async def _result(touring: asyncio.Task[bool]) -> bool:
    """What the tour says; False when a signal has cut it short."""
    touring.cancel()
    await asyncio.wait([touring])
    return not touring.cancelled() and touring.result()


def what_to_try(stage: Stage) -> str:
    """Tell what runs where, as shell commands that work as they stand."""
    engine, engine_url = next(iter(stage.engine_urls.items()))
    chat = f"{stage.url}/v1/chat/completions -H 'content-type: application/json'"
    body = f'"model": "{MODEL}", "messages": [{{"role": "user", "content": "hello"}}]'
    return f"""\
The engines of this demo are simulated: they speak vLLM's API, and their words are made up.

  gateway  {stage.url}
  admin    {stage.admin_url}
  store    {stage.store or "none: pip install 'aibrix-mw[demo]' brings one"}
  engines  {", ".join(f"{name} {url}" for name, url in stage.engine_urls.items())}

Try:

  curl {stage.url}/v1/models
  curl -i {chat} -d '{{{body}}}'
  curl -N {chat} -d '{{{body}, "stream": true}}'
  curl -i {chat} -H 'config-profile: batch' -d '{{{body}}}'
  for i in $(seq {LIMIT + 1}); do curl -si {chat} -H 'config-profile: limited' -d '{{{body}}}' | head -1; done
  curl {stage.admin_url}/status.json
  curl {stage.admin_url}/metrics

Break the next stream on {engine}:

  curl {engine_url}/sim/faults -d '{{"mode": "die", "after_chunks": 3, "count": 1}}'

These files are followed while you edit them:

  {stage.settings_file}
  {stage.pods_file}

Ctrl-C ends it."""
