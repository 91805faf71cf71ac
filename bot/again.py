"""A clip asked for once more, in other words."""

from __future__ import annotations

from bot.job import Job
from generation.request import Kind, Music, MusicWish, Wish

CHOSEN_BY_US = frozenset({"native", "own"})
"""Genres that nobody can name: left open, they are chosen anew."""


def reworded(job: Job, prompt: str) -> Wish:
    """The same wish with other words; also the same seed, so that only the words change the picture."""
    request = job.request
    kind = Kind.VIDEO if request.kind in {Kind.SCORE, Kind.BIGGER, Kind.EXTEND} else request.kind
    return Wish(
        prompt=prompt,
        negative=request.negative,
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
        music=_music(request.music),
    )


def _named(music: Music) -> str | None:
    return None if music.genre in CHOSEN_BY_US else music.genre


def _music(music: Music) -> MusicWish:
    return MusicWish(
        genre=_named(music),
        mood=music.mood or None,
        tempo=f"{music.bpm:g}",
        instruments=music.instruments,
        seed=music.seed,
        track=music.track,
        melody=music.melody,
    )
