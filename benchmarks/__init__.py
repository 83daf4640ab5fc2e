"""Benchmarks: one module a question. Run them with ``python -m benchmarks [--quick] [--only NAME]``."""
