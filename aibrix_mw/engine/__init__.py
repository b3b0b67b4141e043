"""A simulated engine for demonstrations and tests."""
