"""Traces: what Tempo is asked, and where links to Jaeger lead."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from aibrix_mw.dashboards.traces import BOARD
from aibrix_mw.telemetry import conventions

MODULES = Path(sys.prefix) / "traceql" / "node_modules"
QUERIES = [
    query.expr.replace("$service", "aibrix-mw") for panel in BOARD.panels() if panel.traceql for query in panel.queries
]


def faulty(*queries):
    command = ["node", str(Path(__file__).with_name("parse.mjs")), str(MODULES)]
    done = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(
    shutil.which("node") is None or not MODULES.exists(),
    reason="TraceQL: the system package npm is not installed, or `make test` has not fetched the grammar",
)
def test_every_query_parses():
    broken = ["{ span.a = }", "{ } | quantile_over_time(duration", "kind = server"]
    assert faulty(*QUERIES, *broken) == broken


def test_every_name_is_one_that_the_gateway_writes():
    written = {value for value in vars(conventions).values() if isinstance(value, str)}
    asked = set(re.findall(r"span\.([\w.]+\w)", " ".join(QUERIES)))
    assert {name for name in asked - written if not name.startswith("gen_ai.latency.")} == set()
    assert len(asked) > 10


def test_links_to_jaeger():
    links = re.findall(r"\]\(([^)]+)\)", next(p.description for p in BOARD.panels() if p.kind == "text"))
    assert len(links) == 5
    for link in links:
        assert link.startswith("${jaeger}/search?")
        fields = parse_qs(urlsplit(link).query)
        assert fields["service"] == ["${service}"]
        assert "minDuration" in fields or json.loads(unquote(fields["tags"][0]))
