"""What every test may rely on."""

import logging

import pytest
from hypothesis import settings

# two cores, shared: a deadline would measure the neighbours
settings.register_profile("tests", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("tests")


@pytest.fixture
def log(caplog):
    """Lines that the gateway has logged."""
    caplog.set_level(logging.DEBUG, "aibrix_mw")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "aibrix_mw"]
