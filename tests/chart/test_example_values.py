"""chart/ci/*.yaml, the whole chart under lint and package, and what `helm install` says at its end."""

import tarfile

import pytest
import yaml

import aibrix_mw
from aibrix_mw.validation import validate_file
from tests.chart import golden
from tests.chart.checks import faults, restricted_faults, templates
from tests.chart.rendering import CHART, find, helm, one, render, render_text

EXAMPLES = {file.stem: file for file in golden.EXAMPLES}
NOT_REQUIRED = "may write its root file system"  # of Pod Security; engines compile kernels there


def notes(*flags):
    """What is printed at the end of an installation."""
    done = helm("install", "gw", str(CHART), "--dry-run=client", "--namespace", "llm", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def test_examples_are_these():
    assert sorted(EXAMPLES) == ["disaggregated", "kind", "minimal", "production"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_whole(name, tmp_path):
    text = render_text(files=[EXAMPLES[name]])
    objects = render(files=[EXAMPLES[name]])
    assert faults(objects) == []
    (tmp_path / "manifests.yaml").write_text(text)
    (tmp_path / "settings.yaml").write_text(one(objects, "ConfigMap", "gw-aibrix-mw-settings")["data"]["settings.yaml"])
    for file in ("manifests.yaml", "settings.yaml"):
        report = validate_file(tmp_path / file)
        unread = [
            warning for warning in report.warnings if warning.endswith("is not here, and its keys are not checked")
        ]
        assert (report.faults, report.warnings) == ([], unread), file


@pytest.mark.parametrize("name", ["kind", "production"])
def test_example_is_restricted(name):
    for item, template in templates(render(files=[EXAMPLES[name]])):
        found = [fault for fault in restricted_faults(template["spec"]) if not fault.endswith(NOT_REQUIRED)]
        assert found == [], item["metadata"]["name"]


def test_golden_renders():
    """A difference that is meant: `python -m tests.chart.golden`."""
    rendered = dict(golden.renders())
    assert sorted(rendered) == sorted(file.stem for file in golden.FOLDER.glob("*.yaml"))
    for name, text in rendered.items():
        assert text == (golden.FOLDER / f"{name}.yaml").read_text(), name


# -- the chart as a whole


@pytest.mark.parametrize("name", [None, *EXAMPLES])
def test_lint(name):
    values = [] if name is None else ["--values", str(EXAMPLES[name])]
    done = helm("lint", "--strict", str(CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_package(tmp_path):
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    assert package.name == f"aibrix-mw-{aibrix_mw.__version__}.tgz"
    with tarfile.open(package) as tar:
        names = {name.removeprefix("aibrix-mw/") for name in tar.getnames()}
    assert {"Chart.yaml", "values.yaml", "values.schema.json", "README.md", "files/check.py"} <= names
    assert not [name for name in names if name.startswith("ci/")]
    done = helm("template", "gw", str(package), "--namespace", "llm")
    assert done.returncode == 0, done.stderr


def test_chart_says_what_a_catalogue_asks_for():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == aibrix_mw.__version__
    annotations = chart["annotations"]
    assert annotations["artifacthub.io/license"] == "Apache-2.0"
    images = {image["image"] for image in yaml.safe_load(annotations["artifacthub.io/images"])}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert images == {
        f"aibrix-mw:{chart['appVersion']}",
        f"valkey/valkey:{values['valkey']['image']['tag']}",
        values["modelDefaults"]["image"],
    }
    assert yaml.safe_load(annotations["artifacthub.io/changes"])


def test_files_are_short():
    lines = {file: len(file.read_text().splitlines()) for file in CHART.rglob("*") if file.is_file()}
    assert lines[CHART / "values.yaml"] < 450
    assert [str(file) for file, count in lines.items() if file.suffix in {".tpl", ".txt"} and count > 250] == []
    assert max(count for file, count in lines.items() if "templates" in file.parts) <= 250


# -- NOTES.txt


def test_notes_of_an_empty_gateway():
    said = notes()
    assert "kubectl --namespace llm port-forward service/gw-aibrix-mw 8080:80" in said
    assert "curl http://127.0.0.1:8080/v1/models\n" in said
    assert "Capacity: 2 gateway pods, each with at most 10000 requests in flight" in said
    assert "--wait --timeout 300s" in said
    assert "helm test gw --namespace llm" in said
    assert "WARNING" not in said


def test_notes_of_models():
    said = notes("--values", str(EXAMPLES["minimal"]))
    assert '"model": "meta-llama/Llama-3.1-8B-Instruct"' in said
    deadlines = [
        item["spec"].get("progressDeadlineSeconds", 600)
        for item in find(render(files=[EXAMPLES["minimal"]]), "Deployment")
    ]
    assert f"--wait --timeout {300 + max(deadlines)}s" in said


def test_notes_of_production():
    said = notes("--values", str(EXAMPLES["production"]))
    assert '-H "authorization: Bearer $KEY"' in said
    assert "Capacity: 3 to 10 gateway pods" in said
    assert "Limits: shared by all pods." in said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["ingress.enabled=true", "gateway.allowUnauthenticated=true"], "WARNING: clients need no key"),
        (["settings.shutdown.grace=900"], "WARNING: pods may take 920 s to end"),
        (["settings.rate_limit.per_replica=true"], "Limits: each pod grants them in full"),
        (["secrets.clientKeys.name=k"], "`helm test` looks at readiness only: set tests.clientKey for more."),
        (["secrets.tls.name=cert"], "curl --insecure https://127.0.0.1:8080/v1/models"),
        (["gateway.enabled=false", "models.m.replicas=2"], "models.m: 2 replicas of m"),
    ],
    ids=str,
)
def test_notes_of(flags, words):
    assert words in notes(*(part for flag in flags for part in ("--set", flag)))
