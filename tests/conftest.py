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


@pytest.fixture
def own_logging():
    """Loggers as a fresh process has them, whoever has set them up before; afterwards they are as they were."""
    loggers = [logging.getLogger(name) for name in (None, "aibrix_mw", "uvicorn", "uvicorn.error", "python_multipart")]
    before = [(known, known.level, known.propagate, known.handlers[:], known.filters[:]) for known in loggers]
    for known in loggers[1:]:
        known.setLevel(logging.NOTSET)
        known.propagate, known.handlers, known.filters = True, [], []
    yield
    for known, level, propagate, handlers, filters in before:
        known.setLevel(level)
        known.propagate, known.handlers, known.filters = propagate, handlers, filters
