"""The reference says what the code does, and all of it."""

import re

import pytest
from click.testing import CliRunner

from aibrix_mw import errors, headers, reference
from aibrix_mw.cli import main
from aibrix_mw.dashboards.alerts import alerts
from aibrix_mw.pods import manifest, roles
from aibrix_mw.profiles.fields import CONFIG_FIELDS, PROFILE_FIELDS, ROUTING_FIELDS
from aibrix_mw.reference import headers as listed
from aibrix_mw.reference import profiles as keys
from aibrix_mw.reference import refusals, routing, settings, spans
from aibrix_mw.reference.markdown import anchor, code, table
from aibrix_mw.settings import Settings
from aibrix_mw.settings.schema import ModelSettings, UserRecord
from aibrix_mw.strategies import TABLE
from aibrix_mw.telemetry import conventions
from aibrix_mw.telemetry.families import FAMILIES

TEXT = reference.FILE.read_text()
ANCHORS = [anchor(title) for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)]


def test_the_file_is_what_the_code_says():
    assert reference.text() == TEXT, "make reference"


def test_the_command_prints_and_writes_it(tmp_path):
    assert CliRunner().invoke(main, ["reference"]).stdout == TEXT
    assert CliRunner().invoke(main, ["reference", "--out", str(tmp_path / "r.md")]).exit_code == 0
    assert (tmp_path / "r.md").read_text() == TEXT
    failed = CliRunner().invoke(main, ["reference", "--out", str(tmp_path / "none" / "r.md")])
    assert (failed.exit_code, "No such file or directory" in failed.stderr) == (1, True)


def test_links_lead_to_headings_that_are_there_once():
    assert len(set(ANCHORS)) == len(ANCHORS)
    linked = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert len(linked) > 30
    assert set(linked) <= set(ANCHORS)


def test_every_alert_has_its_runbook():
    assert {alert.anchor for alert in alerts()} <= set(ANCHORS)
    assert "{{" not in TEXT
    for alert in alerts():
        assert all(check in TEXT for check in alert.first_checks)


def leaves(struct, path=""):
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if hasattr(value, "__struct_fields__"):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name


def test_every_setting():
    expected = set(leaves(Settings())) - {"models", "users.records"}
    expected |= {f"models.NAME.{name}" for name in ModelSettings.__struct_fields__}
    expected |= {f"users.records.NAME.{name}" for name in UserRecord.__struct_fields__}
    assert set(settings.paths()) == expected


def test_every_refusal():
    found = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GatewayError)}
    assert set(refusals.kinds()) | {errors.GatewayError, errors.RoutingError} == found


def test_every_header_of_our_answers():
    assert {name.encode() for name in listed.TO_CLIENT} == headers._OURS
    read = {name.encode() for name in listed.READ}
    assert {b"config-profile", b"external-filter", b"x-aibrix-session-key"} <= read


def test_every_key_of_the_annotation():
    assert keys.MODEL_KEYS.keys() == CONFIG_FIELDS.keys()
    assert keys.PROFILE_KEYS.keys() == PROFILE_FIELDS.keys()
    assert routing.OPTIONS.keys() == ROUTING_FIELDS.keys()


def test_every_label_of_pods():
    known = {value for module in (manifest, roles) for value in vars(module).values() if isinstance(value, str)}
    known |= set(manifest.GROUP_INDEXES)
    assert {name for name in known if re.fullmatch(r"[\w.-]+/[\w-]+", name)} <= keys.LABELS.keys()


def test_every_metric_strategy_and_name_of_a_span():
    assert all(f"| {code(family.name)} | {family.kind} |" in TEXT for family in FAMILIES)
    assert all(f"| {code(name)} | " in TEXT for name in TABLE)
    names = {name for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
    spans_ = {"LIMIT_SPAN", "ROUTE_SPAN"}
    assert spans.ATTRIBUTES.keys() | spans.EVENTS.keys() | spans_ == {name for name in names if name[0] != "_"}


@pytest.mark.parametrize(("title", "expected"), [("Coming from A's b", "coming-from-as-b"), ("a.b_c", "ab_c")])
def test_anchors(title, expected):
    assert anchor(title) == expected


def test_tables():
    assert table(("a", "b"), [("x|y", "two\nlines")]) == "| a | b |\n|---|---|\n| x\\|y | two lines |\n"
