"""Benchmarks: each hot path against its physical floor, interleaved in one run. ``python -m benchmarks --help``."""
