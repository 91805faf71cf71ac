"""From frames and a score to the finished file: mux, stills, mark."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from generation.clip import Clip
from generation.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    from generation.clip import Frames, Score


async def finish(frames: Frames, score: Score | None, target: Path, *, on_progress: OnProgress) -> Clip:
    on_progress(Progress(Stage.ENCODING, 0, len(frames.pixels)))
    part = target.with_name(target.name + ".part")
    try:
        await asyncio.to_thread(_encode, frames, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    count, height, width, _ = frames.pixels.shape
    return Clip(
        path=target,
        width=width,
        height=height,
        fps=frames.fps,
        frames=count,
        seconds=frames.seconds,
        size=(await asyncio.to_thread(target.stat)).st_size,
        audio=score is not None,
    )


def _encode(frames: Frames, part: Path) -> None:
    from fractions import Fraction  # noqa: PLC0415

    import av  # noqa: PLC0415  (heavy)

    with av.open(str(part), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=Fraction(frames.fps).limit_denominator(1001))
        stream.width, stream.height = frames.pixels.shape[2], frames.pixels.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast"}
        for picture in frames.pixels:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode())
