"""What can be made from a finished clip: a larger one, a longer one, or an animation of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from bot.domain.jobs import Job
from generation.clip import Clip
from generation.errors import NotOffered
from generation.models.common.preset import Preset
from generation.request import Kind, Limits, Request, Wish

DERIVATIVE_VERBS = ("animate", "extend", "bigger")
DURATION_TOLERANCE = 0.05
"""Seconds by which a clip may exceed the limit of its model, because lengths are rounded to frames."""


def available_derivatives(job: Job, presets: Mapping[str, Preset], default: str) -> tuple[str, ...]:
    """The derivative verbs that would work on this clip: only these get a button."""
    preset = presets.get(job.request.model)
    if job.clip is None or preset is None:
        return ()
    if job.request.kind is Kind.IMAGE:
        return ("animate",) if animation_model(job.request.model, presets, default) else ()
    limits = preset.limits
    supported = {
        "extend": Kind.EXTEND in limits.kinds,
        "bigger": _enlarged_size(job.clip, limits) is not None,
    }
    return tuple(verb for verb, offered in supported.items() if offered)


def animation_model(picture_model: str, presets: Mapping[str, Preset], default: str) -> str | None:
    """The model that animates an image: its own, else the default, else the first that can."""
    for name in (picture_model, default, *presets):
        if name in presets and Kind.ANIMATE in presets[name].limits.kinds:
            return name
    return None


def enlarge_request(request: Request, clip: Clip, limits: Limits) -> Request:
    """The same clip with more pixels and the same music; raises NotOffered."""
    size = _enlarged_size(clip, limits)
    if size is None:
        raise NotOffered(Kind.BIGGER.value, request.model)
    return structs.replace(
        request,
        kind=Kind.BIGGER,
        width=size[0],
        height=size[1],
        frames=clip.frames,
        fps=clip.fps,
        image=None,
        source=str(clip.path),
    )


def extend_request(request: Request, clip: Clip, limits: Limits, *, seed: int) -> Request:
    """A clip that continues from the last frames, in the same size and frame rate; raises NotOffered."""
    if Kind.EXTEND not in limits.kinds:
        raise NotOffered(Kind.EXTEND.value, request.model)
    return structs.replace(
        request,
        kind=Kind.EXTEND,
        frames=limits.frames_for(limits.seconds, clip.fps),
        fps=clip.fps,
        seed=seed,
        image=None,
        source=str(clip.path),
    )


def fill_from_clip(wish: Wish, clip: Clip, limits: Limits) -> Wish:
    """Complete a wish about a clip with the values of the clip."""
    if wish.kind is Kind.BIGGER:
        size = _enlarged_size(clip, limits)
        if size is None:
            raise NotOffered(wish.kind.value, wish.model or "")
        return replace(wish, width=size[0], height=size[1], seconds=clip.seconds, fps=clip.fps)
    wish = replace(wish, fps=clip.fps)
    if (wish.width and wish.height) or wish.aspect:
        return wish
    sides, pixels = (clip.width, clip.height), clip.width * clip.height
    if min(sides) >= limits.min_side and max(sides) <= limits.max_side and pixels <= limits.max_pixels:
        return replace(wish, width=clip.width, height=clip.height)
    return replace(wish, aspect=nearest_aspect(*sides, limits))


def nearest_aspect(width: int, height: int, limits: Limits) -> str | None:
    """The aspect of the model that crops a picture of this size least; None is the default aspect."""
    shape = width / height
    shapes: dict[str | None, tuple[int, int]] = {None: (limits.width, limits.height)}
    shapes.update(limits.aspects)

    def mismatch(name: str | None) -> float:
        ratio = shapes[name][0] / shapes[name][1]
        return max(ratio, shape) / min(ratio, shape)

    return min(shapes, key=mismatch)


def _enlarged_size(clip: Clip, limits: Limits) -> tuple[int, int] | None:
    if (
        Kind.BIGGER not in limits.kinds
        or clip.seconds > limits.max_seconds + DURATION_TOLERANCE + 1 / clip.fps
    ):
        return None
    return limits.enlarged_size(clip.width, clip.height)
