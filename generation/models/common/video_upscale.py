"""Regenerate a finished clip at a larger size: enlarge its frames, add noise, and denoise them again."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.models.common.first_frames import last_frames

if TYPE_CHECKING:
    from PIL import Image

    from generation.request import Request

DENOISE_STRENGTH = 0.4
"""Share of the denoising steps that an enlarged picture goes through again."""
MIN_STEPS = 2


def denoise_strength(steps: int) -> float:
    """The share for this number of steps: at least `MIN_STEPS` steps are computed."""
    return min(1.0, max(DENOISE_STRENGTH, MIN_STEPS / steps))


def enlarged_frames(request: Request, frames: int, width: int, height: int) -> list[Image.Image]:
    """The source clip as this many pictures of this size; the last frame is repeated if it is shorter."""
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    found = last_frames(Path(request.source or ""), frames)
    found += found[-1:] * (frames - len(found))
    return [ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS) for picture in found]


def with_pipeline_class(pipe: Any, class_name: str, **more: Any) -> Any:
    """Another pipeline class with the same weights and the same prompt cache."""
    import diffusers  # noqa: PLC0415  (heavy)

    pipeline_class = getattr(diffusers, class_name)
    if isinstance(pipe, pipeline_class):
        return pipe
    wanted = inspect.signature(pipeline_class.__init__).parameters.keys()
    parts = {part: pipe.components[part] for part in wanted & pipe.components.keys()}
    other = pipeline_class(**{**parts, **more})
    other.encode_prompt = pipe.encode_prompt
    return other
