"""Benchmarks against what people would use instead, and against what is promised.

``uv run --locked --group bench python -m tests.bench [NAME…] [--json]``
"""
