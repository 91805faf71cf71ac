"""Detect explicit content in a few frames of a clip, on the CPU."""

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
"""Every label of the detector."""
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
SAMPLE_COUNT = 8


@dataclass(frozen=True, slots=True)
class Detection:
    """The most certain detection (0 to 1) and its frame; `label` is empty if nothing was found."""

    label: str = ""
    certainty: float = 0.0
    frame: int = 0


def available() -> bool:
    """Whether the optional dependency is installed: `pip install matinee[safety]`."""
    return importlib.util.find_spec("nudenet") is not None


def detect_nsfw(path: Path, *, labels: Collection[str] = EXPLICIT, samples: int = SAMPLE_COUNT) -> Detection:
    """The most certain detection of `labels` in evenly spaced frames of one of our files."""
    detections = [
        best_detection(_detector().detect(pixels[..., ::-1].copy()), number, labels)
        for number, pixels in _frames(path, samples)
    ]
    return max(detections, key=lambda detection: detection.certainty, default=Detection())


def best_detection(
    found: Sequence[dict[str, Any]], frame: int, labels: Collection[str] = EXPLICIT
) -> Detection:
    """The most certain detection of `labels` in one frame."""
    matching = [candidate for candidate in found if candidate["class"] in labels]
    if not matching:
        return Detection(frame=frame)
    best = max(matching, key=lambda candidate: float(candidate["score"]))
    return Detection(best["class"], float(best["score"]), frame)


def _frames(path: Path, samples: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Numbered RGB frames, one at a time, so that a long clip does not fill the memory."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        yield 0, _still(path)
        return
    import av  # noqa: PLC0415  (only in the inspection process)

    with av.open(str(path), format="mp4") as container:
        video = container.streams.video[0]
        picks = _sample_indices(video.frames, samples)
        for number, frame in enumerate(container.decode(video)):
            if number in picks or not video.frames:
                yield number, frame.to_ndarray(format="rgb24").astype("uint8", copy=False)


def _sample_indices(count: int, samples: int) -> set[int]:
    return {round(pick * (count - 1) / max(1, samples - 1)) for pick in range(samples)}


def _still(path: Path) -> NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415  (only in the inspection process)
    from PIL import Image  # noqa: PLC0415  (as above)

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@cache
def _detector() -> Any:
    from nudenet import NudeDetector  # noqa: PLC0415  (optional, and slow to load)

    return NudeDetector(providers=["CPUExecutionProvider"])
