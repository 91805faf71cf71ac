"""Benchmarks, each against a comparable project: `python -m benchmarks.NAME`, or `make bench` for all."""
