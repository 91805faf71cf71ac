"""Garbage collector settings for a process that serves a chat."""

from __future__ import annotations

import gc

GC_ALLOCATION_THRESHOLD = 10_000
"""Allocations between two collections. A single update allocates hundreds of objects."""


def freeze_startup_objects() -> None:
    """Exempt all current objects from collection, so that collections stay short and delay no answer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATION_THRESHOLD)
