"""`python -m tests.benchmarks`."""

from .bench import main

main()
