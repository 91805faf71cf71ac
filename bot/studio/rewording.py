"""A clip asked for once more, in other words."""

from __future__ import annotations

from bot.domain.jobs import Job
from generation.request import Kind, Wish


def reworded_wish(job: Job, prompt: str, negative: str | None = None) -> Wish:
    """The same wish with other words; also the same seed, so that only the words change the picture."""
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
