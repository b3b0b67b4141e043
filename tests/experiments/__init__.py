"""Experiments on the simulator that take minutes: `make simulate`."""
