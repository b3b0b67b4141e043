"""`aibrix-mw size`: how many replicas."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from aibrix_mw.errors import ConfigurationError

if TYPE_CHECKING:
    from aibrix_mw.sizing.document import Document
    from aibrix_mw.sizing.measure import Measured
    from aibrix_mw.sizing.orders import Setup

_PATH = click.Path(path_type=Path, dir_okay=False)
_POSITIVE = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(min=1)
SHORT_TOKENS = 16
"""Prompt of the decode run: next to nothing to prefill."""
INTERRUPTED = 130


@click.command()
@click.argument("target_url", required=False)
@click.option("--model", help="Model to ask for.")
@click.option("--target-rps", type=_POSITIVE, required=True, help="Requests a second that the replicas are to serve.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.65,
    show_default=True,
    help="Share of the sustainable rate to plan with.",
)
@click.option("--slo-ttft-p95", type=_POSITIVE, help="Bound of the first token's p95, seconds; default: twice alone.")
@click.option("--slo-tpot-p95", type=_POSITIVE, help="Bound of the p95 per output token; default: twice alone.")
@click.option("--prompt-tokens", type=_COUNT, default=512, show_default=True, help="Length of prompts; none is alike.")
@click.option("--output-tokens", type=_COUNT, default=128, show_default=True, help="Length of answers.")
@click.option("--workload", type=_PATH, help="Request bodies from a JSONL file instead.")
@click.option(
    "--api", type=click.Choice(["chat", "completions"]), default="chat", show_default=True, help="API to use."
)
@click.option("--api-key", envvar="AIBRIX_MW_API_KEY", help="Key to send; also from $AIBRIX_MW_API_KEY.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="Header to send; repeatable.")
@click.option("--max-rps", type=_POSITIVE, help="Highest rate to try.")
@click.option("--step-duration", type=_POSITIVE, default=20.0, show_default=True, help="Seconds measured at a rate.")
@click.option(
    "--stall-timeout", type=_POSITIVE, default=10.0, show_default=True, help="Seconds without a byte: stalled."
)
@click.option("--seed", default=0, show_default=True, help="Decides arrivals and prompts.")
@click.option("--pd", is_flag=True, help="Size prefill and decode, from a run each.")
@click.option("--gpu-cost", type=_POSITIVE, help="Cost of a GPU for an hour; adds cost per million tokens.")
@click.option("--gpus", type=_COUNT, default=1, show_default=True, help="GPUs of a replica.")
@click.option("--from", "source", type=_PATH, help="Results of --json: compute again, without load.")
@click.option("--html", type=_PATH, help="Write a report with plots.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--values", "as_values", is_flag=True, help="Print the lines for the chart's values.")
def size(target_url: str | None, source: Path | None, html: Path | None, **options: Any) -> None:  # noqa: ANN401
    """Measure what one replica sustains under open-loop load, and say how many it takes.

    Exit codes: 1 wrong options or files, 3 the target refuses a single request, 4 a limit answers with 429, 5 the load
    generator was too slow, 6 no rate is sustainable, 130 interrupted (with what is known so far).
    """
    from aibrix_mw.sizing import plot
    from aibrix_mw.sizing.failures import SizingError

    if (source is None) == (target_url is None):
        raise click.UsageError("either TARGET_URL, to measure, or --from FILE, to compute again")
    if source is None and not options["model"]:
        raise click.UsageError("--model is needed")
    if options["as_json"] and options["as_values"]:
        raise click.UsageError("either --json or --values")
    try:
        if html is not None:
            plot.check(html)
        document = _read(source) if source is not None else _measure(str(target_url), options)
        sys.exit(_conclude(document, html, options))
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"error: {fault if fault.path else fault.reason}", err=True)
        sys.exit(1)
    except SizingError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.code)
    except KeyboardInterrupt:
        click.echo("error: interrupted before anything was known", err=True)
        sys.exit(INTERRUPTED)


def _read(source: Path) -> "Document":
    from aibrix_mw.sizing.document import read

    return read(source)


def _conclude(document: "Document", html: Path | None, options: dict[str, Any]) -> int:
    """Print what was asked for; the exit code."""
    from aibrix_mw.sizing import plot, report
    from aibrix_mw.sizing.document import encode
    from aibrix_mw.sizing.sizes import Want, answer

    want = Want(**{name: options[name] for name in ("target_rps", "margin", "gpu_cost", "gpus")})
    document = msgspec.structs.replace(document, answer=answer(document.runs, want))
    if html is not None:
        plot.write(html, document)
    if options["as_json"]:
        click.echo(encode(document))
    elif not options["as_values"]:
        click.echo(report.as_text(document))
    elif document.answer is not None:
        click.echo(report.values(document.answer))
    return _code(document)


def _code(document: "Document") -> int:
    from aibrix_mw.sizing.failures import GeneratorTooSlow, LimitMet, NothingSustained, SizingError

    codes = {"limit": LimitMet.code, "generator": GeneratorTooSlow.code, "interrupted": INTERRUPTED}
    for run in document.runs.values():
        if run.end != "complete":
            click.echo(f"error: {run.message or run.end}", err=True)
            return codes.get(run.end, SizingError.code)
        if run.estimate is None:
            click.echo(
                f"error: no rate is sustainable: {run.reason.text if run.reason else 'none was tried'}", err=True
            )
            return NothingSustained.code
    return 0


def _measure(url: str, options: dict[str, Any]) -> "Document":
    from aibrix_mw.sizing.document import Document
    from aibrix_mw.sizing.orders import Setup
    from aibrix_mw.sizing.target import parse_target
    from aibrix_mw.sizing.workload import Workload, read_requests

    target = parse_target(url, options["api"], _headers(options))
    if options["workload"] is not None:
        read_requests(options["workload"], options["api"])
    file = None if options["workload"] is None else str(options["workload"].absolute())
    given = {name: options[name] for name in ("model", "api", "prompt_tokens", "output_tokens")}
    workload = Workload(**given, file=file)
    runs: dict[str, Measured] = {}
    for role, one in _roles(workload, pd=options["pd"]).items():
        runs[role] = _run(Setup(target, one), options, role if options["pd"] else "")
        if runs[role].end != "complete":
            break
    return Document(target.url, workload.model, _described(options), runs)


def _headers(options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(header.partition("=")[::2]) for header in options["headers"]]
    if not all(name.strip() and name.isascii() and value.isprintable() for name, value in pairs):
        raise click.BadParameter("NAME=VALUE is expected", param_hint="--header")
    key = options["api_key"]
    return (*pairs, *([("authorization", f"Bearer {key}")] if key else []))


def _roles(workload: Any, *, pd: bool) -> dict[str, Any]:  # noqa: ANN401 - a Workload, which is imported late
    if not pd:
        return {"replica": workload}
    if workload.file is not None:
        raise click.UsageError("--pd makes its own two workloads; it does not go with --workload")
    return {
        "prefill": msgspec.structs.replace(workload, output_tokens=1),
        "decode": msgspec.structs.replace(workload, prompt_tokens=SHORT_TOKENS),
    }


def _described(options: dict[str, Any]) -> str:
    if options["workload"] is not None:
        return f"requests of {options['workload'].name}"
    prompt, output = options["prompt_tokens"], options["output_tokens"]
    if options["pd"]:
        return f"prefill {prompt} prompt tokens, decode {output} output tokens"
    return f"{prompt} prompt tokens, {output} output tokens"


def _run(setup: "Setup", options: dict[str, Any], title: str) -> "Measured":
    from aibrix_mw.sizing.measure import Measuring, Task
    from aibrix_mw.sizing.preflight import check
    from aibrix_mw.sizing.process import Generator
    from aibrix_mw.sizing.progress import Lines, Terminal

    listener = (Terminal if sys.stderr.isatty() else Lines)(sys.stderr, title)
    task = Task(
        first_token=options["slo_ttft_p95"],
        per_token=options["slo_tpot_p95"],
        most=options["max_rps"],
        step_seconds=options["step_duration"],
        silence=options["stall_timeout"],
        seed=options["seed"],
    )
    with Generator(check(setup)) as generator:
        measuring = Measuring(generator, task, listener)
        try:
            measuring.begin()
        finally:
            listener.clear()
        with suppress(KeyboardInterrupt):
            return measuring.run()
        listener.note("interrupted")
        generator.kill()
        return measuring.result(end="interrupted")
