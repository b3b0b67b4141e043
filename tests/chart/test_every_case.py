"""Every case of both halves: rendered once, and held against what must hold whatever the values."""

import pytest

from aibrix_mw.validation import validate_file
from tests.chart import cases_gateway, cases_models
from tests.chart.checks import faults, restricted_faults, templates
from tests.chart.rendering import render

CASES = {**cases_gateway.CASES, **cases_models.CASES}
NAMESPACES = ("llm", "team-a")


def test_there_are_many():
    assert len(CASES) >= 300


@pytest.mark.parametrize("name", CASES)
def test_case(name, tmp_path):
    objects = render(CASES[name])
    assert faults(objects, NAMESPACES) == []
    for item, template in templates(objects):
        if "model.aibrix.ai/port" not in template["metadata"]["labels"]:  # engines only where they ask for it
            assert list(restricted_faults(template["spec"])) == [], item["metadata"]["name"]
    file = tmp_path / "settings.yaml"
    (settings,) = [item["data"]["settings.yaml"] for item in objects if "settings.yaml" in item.get("data", {})] or [
        None
    ]
    if settings is not None:
        file.write_text(settings)
        assert validate_file(file).faults == []
