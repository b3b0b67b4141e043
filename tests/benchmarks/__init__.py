"""Our gateway and its peers side by side under the same load: CPU per request (`python -m tests.benchmarks`)."""
