"""What is measured, each against its peer, in one run: `python -m benchmarks.NAME`, or `make bench`."""
