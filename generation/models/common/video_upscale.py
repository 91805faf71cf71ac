"""A finished clip painted again, larger: its pictures enlarged, then some of the way back to noise."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.models.common.first_frames import last_frames

if TYPE_CHECKING:
    from PIL import Image

    from generation.request import Request

DENOISE_STRENGTH = 0.4
"""How much of the way from noise an enlarged picture is painted again."""
MIN_STEPS = 2


def denoise_strength(steps: int) -> float:
    """More of the way where there are so few steps that less of it would be no step at all."""
    return min(1.0, max(DENOISE_STRENGTH, MIN_STEPS / steps))


def enlarged_frames(request: Request, frames: int, width: int, height: int) -> list[Image.Image]:
    """The request's clip in so many pictures of this size; a shorter one stands still at its end."""
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    found = last_frames(Path(request.source or ""), frames)
    found += found[-1:] * (frames - len(found))
    return [ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS) for picture in found]


def with_pipeline_class(pipe: Any, class_name: str, **more: Any) -> Any:
    """Another pipeline class over the same weights, which remembers prompts together with the first."""
    import diffusers  # noqa: PLC0415  (heavy)

    pipeline_class = getattr(diffusers, class_name)
    if isinstance(pipe, pipeline_class):
        return pipe
    wanted = inspect.signature(pipeline_class.__init__).parameters.keys()
    parts = {part: pipe.components[part] for part in wanted & pipe.components.keys()}
    made = pipeline_class(**{**parts, **more})
    made.encode_prompt = pipe.encode_prompt
    return made
