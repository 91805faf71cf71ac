"""From frames and a score to the finished file: mux, stills, mark."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from generation.clip import Clip
from generation.errors import EncoderKilled
from generation.failpoint import FailPoint, pass_failpoint
from generation.media.ffmpeg import Ffmpeg
from generation.media.files import atomic_file
from generation.media.fit import fit
from generation.media.identity import Identity
from generation.media.image_metadata import with_metadata
from generation.media.mux import mux, mux_new_music, preset_for
from generation.media.probe import clip_from_file, read_frames
from generation.media.provenance import ai_label_tags, sign_file
from generation.media.stills import contact_sheet, poster
from generation.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.clip import Audio, Frames

log = logging.getLogger(__name__)
MAX_ENCODER_KILLS = 2
"""How often one clip's ffmpeg may be killed; a third time it is the clip."""


@dataclass(frozen=True, slots=True)
class ClipSigner:
    """Who a finished file says that it is from."""

    model: str
    ffmpeg: Ffmpeg
    identity: Identity | None = None

    async def sign(self, clip: Clip) -> Clip:
        """Last of all: whatever copies or rewrites the file afterwards drops the mark."""
        if self.identity is None:
            return clip
        await asyncio.to_thread(sign_file, clip.path, identity=self.identity, model=self.model)
        return structs.replace(clip, size=(await asyncio.to_thread(clip.path.stat)).st_size)


async def finish_clip(  # every fact of the file comes in here, by name
    frames: Frames,
    audio: Audio | None,
    target: Path,
    *,
    title: str,
    signer: ClipSigner,
    backlog: int,
    on_progress: OnProgress,
) -> Clip:
    """`backlog` is how many renders wait for the encoder: the more, the less it tries for a small file."""
    on_progress(Progress(Stage.ENCODING, 0, len(frames.pixels)))
    clip = await retry_if_killed(
        lambda: mux(
            frames,
            audio,
            target,
            ffmpeg=signer.ffmpeg,
            on_progress=on_progress,
            preset=preset_for(backlog),
            tags=ai_label_tags(signer.model),
        )
    )
    pass_failpoint(FailPoint.ENCODED)
    overview = await asyncio.to_thread(contact_sheet, frames, target.with_suffix(".png"), title=title)
    return await signer.sign(structs.replace(clip, sheet=overview))


async def finish_still(frames: Frames, target: Path, *, signer: ClipSigner) -> Clip:
    """A picture is a PNG, whole in every pixel."""
    async with atomic_file(target, "still") as part:
        await asyncio.to_thread(_write_still, frames.pixels[0], part, ai_label_tags(signer.model))
    _, height, width, _ = frames.pixels.shape
    thumbnail = await asyncio.to_thread(poster, frames.pixels, target.with_suffix(".jpg"))
    size = (await asyncio.to_thread(target.stat)).st_size
    clip = Clip(
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
    return await signer.sign(clip)


async def finish_new_music(
    source: Path, audio: Audio | None, target: Path, *, title: str, signer: ClipSigner
) -> Clip:
    """An old clip's picture, bit for bit, with other music, and stills of its own."""
    before = clip_from_file(source)
    clip = await retry_if_killed(
        lambda: mux_new_music(before, audio, target, ffmpeg=signer.ffmpeg, tags=ai_label_tags(signer.model))
    )
    frames = await asyncio.to_thread(read_frames, source)
    thumbnail = await asyncio.to_thread(poster, frames.pixels, target.with_suffix(".jpg"))
    overview = await asyncio.to_thread(contact_sheet, frames, target.with_suffix(".png"), title=title)
    return await signer.sign(structs.replace(clip, poster=thumbnail, sheet=overview))


async def finish_fitted(clip: Clip, limit: int, *, ffmpeg: Ffmpeg, identity: Identity) -> Clip:
    """The clip within so many bytes, signed as the whole one is."""
    return await retry_if_killed(lambda: fit(clip, limit, ffmpeg=ffmpeg, identity=identity))


async def retry_if_killed(encode: Callable[[], Awaitable[Clip]]) -> Clip:
    """What `encode` makes, also where its ffmpeg is killed once or twice: what it encodes is still here."""
    for _ in range(MAX_ENCODER_KILLS):
        try:
            return await encode()
        except EncoderKilled:
            log.warning("ffmpeg was killed; it is started again")
    return await encode()


def _write_still(pixels: NDArray[np.uint8], part: Path, tags: Mapping[str, str]) -> None:
    from PIL import Image  # noqa: PLC0415  (only where it is used)

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    part.write_bytes(with_metadata(data.getvalue(), tags))
