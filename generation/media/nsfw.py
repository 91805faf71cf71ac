"""Does a clip show what must not be shown to everyone? A look at a few of its frames, on the processor."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXPLICIT = frozenset(
    {
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "ANUS_EXPOSED",
    }
)
LABELS = EXPLICIT | {
    "ANUS_COVERED",
    "ARMPITS_COVERED",
    "ARMPITS_EXPOSED",
    "BELLY_COVERED",
    "BELLY_EXPOSED",
    "BUTTOCKS_COVERED",
    "FACE_FEMALE",
    "FACE_MALE",
    "FEET_COVERED",
    "FEET_EXPOSED",
    "FEMALE_BREAST_COVERED",
    "FEMALE_GENITALIA_COVERED",
    "MALE_BREAST_EXPOSED",
}
"""All that the detector tells apart."""
STILLS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen with the most certainty, 0 to 1, and in which frame; `what` is empty if nothing was."""

    what: str = ""
    certainty: float = 0.0
    frame: int = 0


def available() -> bool:
    """Whether the optional part is installed: `pip install matinee[safety]`."""
    return importlib.util.find_spec("nudenet") is not None


def look_at(path: Path, *, wanted: Collection[str] = EXPLICIT, samples: int = SAMPLES) -> Sighting:
    """The surest sight of what is wanted in evenly spaced frames of a file of ours."""
    seen = [
        sighting(_detector().detect(pixels[..., ::-1].copy()), number, wanted)
        for number, pixels in _frames(path, samples)
    ]
    return max(seen, key=lambda each: each.certainty, default=Sighting())


def sighting(found: Sequence[dict[str, Any]], frame: int, wanted: Collection[str] = EXPLICIT) -> Sighting:
    """The surest wanted detection of one frame."""
    explicit = [each for each in found if each["class"] in wanted]
    if not explicit:
        return Sighting(frame=frame)
    surest = max(explicit, key=lambda each: float(each["score"]))
    return Sighting(surest["class"], float(surest["score"]), frame)


def _frames(path: Path, samples: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Numbered RGB pictures, one at a time: a long clip must not fill the memory."""
    if path.suffix.lower() in STILLS:
        yield 0, _still(path)
        return
    import av  # noqa: PLC0415  (only in the process that looks)

    with av.open(str(path), format="mp4") as container:
        video = container.streams.video[0]
        picks = _picks(video.frames, samples)
        for number, frame in enumerate(container.decode(video)):
            if number in picks or not video.frames:
                yield number, frame.to_ndarray(format="rgb24").astype("uint8", copy=False)


def _picks(count: int, samples: int) -> set[int]:
    return {round(pick * (count - 1) / max(1, samples - 1)) for pick in range(samples)}


def _still(path: Path) -> NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415  (only in the process that looks)
    from PIL import Image  # noqa: PLC0415  (as above)

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@cache
def _detector() -> Any:
    from nudenet import NudeDetector  # noqa: PLC0415  (optional, and its model takes a moment to load)

    return NudeDetector(providers=["CPUExecutionProvider"])
