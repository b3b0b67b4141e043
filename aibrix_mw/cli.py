"""The command line: `aibrix-mw serve | engine | demo | validate | explain | keys | users | simulate | size | ...`."""

import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from aibrix_mw import __version__
from aibrix_mw.commands.dashboards import dashboards
from aibrix_mw.commands.explain import explain
from aibrix_mw.commands.keys import keys
from aibrix_mw.commands.reference import reference
from aibrix_mw.commands.simulate import simulate
from aibrix_mw.commands.size import size
from aibrix_mw.commands.users import users
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings import ModelSettings, Settings, load

PATH = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="aibrix-mw")
def main() -> None:
    """LLM inference gateway for vLLM pods on Kubernetes."""


main.add_command(dashboards)
main.add_command(explain)
main.add_command(reference)
main.add_command(keys)
main.add_command(users)
main.add_command(simulate)
main.add_command(size)


def _report(error: ConfigurationError) -> NoReturn:
    for fault in error.faults:
        click.echo(f"error: {_shown(fault)}", err=True)
    sys.exit(1)


def _shown(fault: Fault) -> str:
    return str(fault) if fault.path else fault.reason


def _end_on_sigterm() -> None:
    """Let SIGTERM end the process in good order as long as nobody else handles it: while it starts, above all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@main.command()
@click.option("--settings", "file", type=PATH, help="Settings file, YAML; re-read when it changes.")
@click.option("--host", help="Address for clients; default: all.")
@click.option("--port", type=int, help="Port for clients; default: 8080.")
@click.option("--admin-host", help="Address for operators; default: 127.0.0.1.")
@click.option("--admin-port", type=int, help="Port for operators; default: 8081.")
@click.option("--pods", type=PATH, help="Pod manifests, YAML or JSON, as `kubectl get pods -o yaml` prints them.")
@click.option("--pod", "endpoints", multiple=True, metavar="MODEL=URL", help="An engine by its URL; repeatable.")
@click.option("--kubernetes", is_flag=True, help="Watch pods through the Kubernetes API; in a pod, or by kubeconfig.")
@click.option("--namespace", "namespaces", multiple=True, help="Namespace to watch; repeatable; default: the own one.")
@click.option("--kubeconfig", help="Kubeconfig file; default: in-cluster, else $KUBECONFIG or ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig; default: its current one.")
@click.option("--redis-url", help="Redis or Valkey that counts limits for all replicas; default: each for itself.")
@click.option("--default-strategy", help="Routing strategy where nobody names one; default: least-request.")
def serve(file: Path | None, pods: Path | None, endpoints: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
    """Serve the gateway."""
    _end_on_sigterm()
    flags = {
        "listen.host": options["host"],
        "listen.port": options["port"],
        "listen.admin_host": options["admin_host"],
        "listen.admin_port": options["admin_port"],
        "discovery.static.file": None if pods is None else str(pods),
        "discovery.kubernetes.enabled": options["kubernetes"] or None,
        "discovery.kubernetes.namespaces": list(options["namespaces"]) or None,
        "discovery.kubernetes.kubeconfig": options["kubeconfig"],
        "discovery.kubernetes.context": options["context"],
        "store.url": options["redis_url"],
        "routing.default_strategy": options["default_strategy"],
    }

    def read() -> Settings:
        return _with_endpoints(load(file, flags=flags), endpoints)

    try:
        _serve(read, file)
    except ConfigurationError as error:
        _report(error)


def _with_endpoints(settings: Settings, endpoints: tuple[str, ...]) -> Settings:
    """The settings with `--pod MODEL=URL` added to the models' endpoints."""
    models = dict(settings.models)
    for endpoint in endpoints:
        model, equals, url = endpoint.partition("=")
        if not (model and equals and url):
            raise click.BadParameter(f"{endpoint} is not MODEL=URL", param_hint="--pod")
        known = models.get(model, ModelSettings())
        models[model] = msgspec.structs.replace(known, endpoints=(*known.endpoints, url))
    return msgspec.structs.replace(settings, models=models)


def _serve(read: Callable[[], Settings], file: Path | None) -> None:
    from aibrix_mw.app import create_app
    from aibrix_mw.parts.observing import open_tracing, tracing_layers
    from aibrix_mw.server import Server, in_flight_cap, serve_gateway
    from aibrix_mw.telemetry.logs import set_up_logging

    settings = read()
    set_up_logging(settings.log)
    discovery = settings.discovery
    if not (settings.models or discovery.static.file or discovery.kubernetes.enabled):
        ways = "--pods FILE, --pod MODEL=URL or --kubernetes"
        raise click.UsageError(f"nothing to serve: pass {ways}, or name models in --settings")

    def capped(settings: Settings) -> Settings:
        limits = msgspec.structs.replace(settings.limits, max_in_flight=in_flight_cap(settings))
        return msgspec.structs.replace(settings, limits=limits)

    tracing = open_tracing(settings)
    gateway = create_app(capped(settings), outer=tracing_layers(settings, tracing))
    gateway.tracing = tracing
    asked, fit = settings.limits.max_in_flight, gateway.settings.limits.max_in_flight
    logging.getLogger("aibrix_mw").info(
        "at most %d requests in flight (limits.max_in_flight: %d; each takes two descriptors)", fit, asked
    )

    def read_again() -> Settings:
        fresh = read()
        logging.getLogger("aibrix_mw").setLevel(fresh.log.level.upper())
        return capped(fresh)

    if file is not None:
        gateway.follow(file, read_again)

    def announce(server: Server) -> None:
        admin_host = settings.listen.admin_host or "*"
        logging.getLogger("aibrix_mw").info(
            "serving on port %d, admin on %s port %d", server.client.port, admin_host, server.admin.port
        )

    try:
        serve_gateway(gateway, announce)
    finally:
        if tracing is not None:
            tracing.close()


@main.command()
@click.option("--model", "models", required=True, multiple=True, help="Name that is served; further ones are aliases.")
@click.option("--adapter", "adapters", multiple=True, help="LoRA adapter that is served too.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option("--name", default="sim", show_default=True, help="Name that answers carry.")
@click.option("--load-seconds", default=0.0, show_default=True, help="Seconds until /health is 200.")
@click.option("--seed", default=0, show_default=True, help="Decides the words of answers.")
@click.option("--prefill-tokens-per-second", default=8000.0, show_default=True, help="Prefill speed of one sequence.")
@click.option("--decode-tokens-per-second", default=50.0, show_default=True, help="Decode speed of one sequence.")
@click.option("--max-running", default=16, show_default=True, help="Sequences at a time; the others wait.")
def engine(models: tuple[str, ...], adapters: tuple[str, ...], host: str, port: int, **options: Any) -> None:  # noqa: ANN401
    """Serve one simulated engine: a vLLM without a model, for demonstrations and tests."""
    import uvicorn

    from aibrix_mw.engine.sim import EngineOptions, create_engine

    try:
        simulated = EngineOptions(models=models, adapters=adapters, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _end_on_sigterm()
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host} port {port}: {error.strerror}") from None
    with listener:
        port = listener.getsockname()[1]
        click.echo(f"simulated engine {simulated.name} serves {', '.join(models)} on http://{host}:{port}")
        server = uvicorn.Server(uvicorn.Config(create_engine(simulated), log_level="warning", server_header=False))
        with suppress(KeyboardInterrupt):
            server.run([listener])


@main.command()
@click.option("--port", type=int, help="Port for clients; default: 8080, or a free one.")
@click.option("--admin-port", type=int, help="Port for operators; default: 8081, or a free one.")
@click.option("--tour", is_flag=True, help="Use every main feature once, compare what is seen with what is expected.")
def demo(port: int | None, admin_port: int | None, *, tour: bool) -> None:
    """Serve a gateway in front of two simulated engines, all on the loopback address, and say what to try."""
    from aibrix_mw.demo import run_demo

    _end_on_sigterm()
    try:
        as_expected = run_demo(click.echo, port=port, admin_port=admin_port, tour=tour)
    except ConfigurationError as error:
        _report(error)
    sys.exit(0 if as_expected else 1)


@main.command()
@click.argument("files", nargs=-1, required=True, type=PATH)
def validate(files: tuple[Path, ...]) -> None:
    """Check settings, pod manifests and config annotations; one line a fault, exit 1 when there is any."""
    from aibrix_mw.validation import validate_file

    logging.getLogger("aibrix_mw").addHandler(logging.NullHandler())  # what readers log is in the report
    faulty = False
    for file in files:
        report = validate_file(file)
        for warning in report.warnings:
            click.echo(f"warning: {file}: {warning}")
        for fault in report.faults:
            click.echo(f"error: {file}: {_shown(fault)}", err=True)
        if not report.faults:
            click.echo(f"{file}: {report.kind}, valid")
        faulty = faulty or bool(report.faults)
    sys.exit(1 if faulty else 0)
