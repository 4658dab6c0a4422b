"""Benchmarks against the libraries that people would use instead.

``uv run --locked --group bench python -m tests.bench [NAME…] [--json]``
"""
