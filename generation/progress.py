"""Progress of a render, and how to cancel it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Stages in the order in which users see them; LOADING is skipped if the model is in memory."""

    LOADING = "loading"
    GENERATING_FRAMES = "painting"
    COMPOSING = "scoring"
    ENCODING = "encoding"
    FITTING = "fitting"


@dataclass(frozen=True, slots=True)
class Progress:
    stage: Stage
    done: int
    total: int

    @property
    def fraction(self) -> float:
        return self.done / self.total if self.total else 0.0


PREVIEW_FILE = "preview.jpg"
"""Exists in the order's folder from the end of frame generation until the clip is finished."""


class Cancelled(Exception):
    """Raised by the step callback inside a render that was cancelled."""


OnProgress = Callable[[Progress], None]
OnStep = Callable[[int, int], None]
"""Called with (done, total) after every step of frames or music; raises Cancelled to stop at that step."""
