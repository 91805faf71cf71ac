"""Does a clip show what must not be shown to everyone? An optional look at a few of its frames."""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.clip import Frames

EXPLICIT = frozenset(
    {
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "ANUS_EXPOSED",
    }
)
_looker = ThreadPoolExecutor(1, "nsfw")  # one at a time: it must not take the cores from the rest


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen with the most certainty, 0 to 1, and in which frame; `what` is empty if nothing was."""

    what: str = ""
    certainty: float = 0.0
    frame: int = 0


def available() -> bool:
    """Whether the optional part is installed: `pip install matinee[safety]`."""
    return importlib.util.find_spec("nudenet") is not None


async def look(frames: Frames, *, samples: int = 6) -> Sighting:
    """The most explicit thing in evenly spaced frames, looked at in a thread, on the CPU."""
    return await asyncio.get_running_loop().run_in_executor(_looker, _look, frames.pixels, samples)


def _look(pixels: NDArray[np.uint8], samples: int) -> Sighting:
    last = len(pixels) - 1
    picks = sorted({round(pick * last / max(1, samples - 1)) for pick in range(samples)})
    seen = [sighting(_detector().detect(pixels[pick][..., ::-1].copy()), pick) for pick in picks]
    return max(seen, key=lambda each: each.certainty, default=Sighting())


def sighting(found: list[dict[str, Any]], frame: int) -> Sighting:
    """The surest explicit detection of one frame."""
    explicit = [each for each in found if each["class"] in EXPLICIT]
    if not explicit:
        return Sighting(frame=frame)
    surest = max(explicit, key=lambda each: float(each["score"]))
    return Sighting(surest["class"], float(surest["score"]), frame)


@cache
def _detector() -> Any:
    from nudenet import NudeDetector  # noqa: PLC0415  (optional, and its model takes a moment to load)

    return NudeDetector(providers=["CPUExecutionProvider"])
