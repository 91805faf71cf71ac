"""From frames and a score to the finished file: mux, stills, mark."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from generation.clip import Clip
from generation.media.ffmpeg import Ffmpeg
from generation.media.files import finished
from generation.media.mux import mux, preset_for, rescore
from generation.media.probe import as_clip, read_frames
from generation.media.stills import poster, sheet
from generation.progress import OnProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


async def finish_still(frames: Frames, target: Path) -> Clip:
    """A picture is a PNG, whole in every pixel."""
    async with finished(target, "still") as part:
        await asyncio.to_thread(_write_still, frames.pixels[0], part)
    _, height, width, _ = frames.pixels.shape
    thumbnail = await asyncio.to_thread(poster, frames.pixels, target.with_suffix(".jpg"))
    size = (await asyncio.to_thread(target.stat)).st_size
    return Clip(
        path=target,
        width=width,
        height=height,
        fps=frames.fps,
        frames=1,
        seconds=frames.seconds,
        size=size,
        audio=False,
        poster=thumbnail,
    )


async def finish_again(
    source: Path, score: Score | None, target: Path, *, title: str, ffmpeg: Ffmpeg
) -> Clip:
    """An old clip's picture, bit for bit, with other music, and stills of its own."""
    clip = await rescore(as_clip(source), score, target, ffmpeg=ffmpeg, tags=MADE_BY)
    frames = await asyncio.to_thread(read_frames, source)
    thumbnail = await asyncio.to_thread(poster, frames.pixels, target.with_suffix(".jpg"))
    overview = await asyncio.to_thread(sheet, frames, target.with_suffix(".png"), title=title)
    return replace(clip, poster=thumbnail, sheet=overview)


def _write_still(pixels: NDArray[np.uint8], part: Path) -> None:
    from PIL import Image  # noqa: PLC0415  (only where it is used)

    Image.fromarray(pixels).save(part, "PNG", optimize=True)
