"""How far a render is, and the one way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """In the order a person sees them; LOADING is skipped when the model is resident."""

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
"""In the order's folder from when the picture is painted until the clip is there."""


class Cancelled(Exception):
    """Raised inside a render by its step callback once nobody wants the clip any more."""


OnProgress = Callable[[Progress], None]
OnStep = Callable[[int, int], None]
"""Called with (done, total) after every step of paint or score; raises Cancelled to stop within that step."""
