"""Renders that are kept: a change of the chart shows in their diff.

`python -m tests.chart.golden` writes them anew; a test holds that they are what Helm renders.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.chart.pieces import KEYS, NGINX, ROUTE, VALKEY, Values, merged
from tests.chart.rendering import CHART, render_text

FOLDER = Path(__file__).with_name("renders")
EXAMPLES = sorted((CHART / "ci").glob("*.yaml"))
PRESETS: dict[str, Values] = {
    "ingress-nginx": merged(NGINX, KEYS),
    "ingress-alb": merged(KEYS, {"ingress": {"enabled": True, "preset": "alb", "className": "alb"}}),
    "ingress-gke": merged(KEYS, {"ingress": {"enabled": True, "preset": "gke"}}),
    "http-route": merged(ROUTE, KEYS),
}
GIVEN = merged(VALKEY, {"valkey": {"auth": {"existingSecret": "store"}}})
# what is kept elsewhere, and would only be copied: dashboards, alerts, the tests' script
LEFT_OUT = {
    "monitoring": {"prometheusRule": {"enabled": False}, "dashboards": {"enabled": False}},
    "tests": {"enabled": False},
}


def renders() -> Iterator[tuple[str, str]]:
    """Yield the name and text of each render. Passwords that are made at random are left out."""
    for file in EXAMPLES:
        values = GIVEN if "valkey:" in file.read_text() else {}
        yield file.stem, render_text(merged(values, LEFT_OUT), files=[file])
    for name, values in PRESETS.items():
        only = ["ingress", "backendconfig", "httproute", "service", "configmap"]
        documents = render_text(merged(values, LEFT_OUT)).split("---\n# Source: ")
        kept = [part for part in documents if part.partition("\n")[0].rpartition("/")[2].removesuffix(".yaml") in only]
        yield name, "".join(f"---\n# Source: {part}" for part in kept)


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.yaml"):
        old.unlink()
    for name, text in renders():
        (FOLDER / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    _write()
