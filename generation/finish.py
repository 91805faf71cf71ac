"""From frames and a score to the finished file: mux, stills, mark."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from generation.clip import Clip
from generation.media.ffmpeg import Ffmpeg
from generation.media.mux import mux, preset_for
from generation.media.stills import sheet
from generation.progress import OnProgress

if TYPE_CHECKING:
    from generation.clip import Frames, Score

MADE_BY = {"comment": "Made by a machine: picture and sound are AI-generated (Matinee)"}


async def finish(  # every fact of the file comes in here, by name
    frames: Frames,
    score: Score | None,
    target: Path,
    *,
    title: str,
    ffmpeg: Ffmpeg,
    backlog: int,
    on_progress: OnProgress,
) -> Clip:
    """`backlog` is how many renders wait for the encoder: the more, the less it tries for a small file."""
    clip = await mux(
        frames,
        score,
        target,
        ffmpeg=ffmpeg,
        on_progress=on_progress,
        preset=preset_for(backlog),
        tags=MADE_BY,
    )
    overview = await asyncio.to_thread(sheet, frames, target.with_suffix(".png"), title=title)
    return replace(clip, sheet=overview)
