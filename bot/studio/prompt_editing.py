"""The wish of a finished job with another prompt."""

from __future__ import annotations

from bot.domain.jobs import Job
from generation.request import Kind, Wish


def reworded_wish(job: Job, prompt: str, negative: str | None = None) -> Wish:
    """The same wish with another prompt. The seed stays, so that only the prompt changes the picture."""
    request = job.request
    kind = Kind.VIDEO if request.kind in {Kind.MUSIC, Kind.BIGGER, Kind.EXTEND} else request.kind
    return Wish(
        prompt=prompt,
        negative=request.negative if negative is None else negative,
        kind=kind,
        model=request.model,
        seconds=None if kind is Kind.IMAGE else request.seconds,
        width=request.width,
        height=request.height,
        fps=request.fps,
        seed=request.seed,
        steps=request.steps,
        guidance=request.guidance,
        style=request.style,
        camera=request.camera,
        image=request.image,
        music=request.music.as_wish(),
    )
