"""Once a chat is served, what was loaded until then is kept out of the collector's way."""

from __future__ import annotations

import gc

GC_ALLOCATION_THRESHOLD = 10_000
"""Objects made between two looks of the collector: hundreds belong to one update alone."""


def freeze_startup_objects() -> None:
    """What is there by now stays: looking through all of it in a rush would hold answers up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATION_THRESHOLD)
