"""Fixtures of middlewares' tests."""

import pytest

from tests.middleware.tracing_support import Memory, tracing


@pytest.fixture
def traced():
    """Tracing of every request, into a receiver."""
    with tracing() as traced:
        yield traced


@pytest.fixture
def memory():
    """A provider that keeps spans."""
    return Memory()
