"""Turn frames and music into the finished file: mux, stills, signature."""

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
from generation.media.image_metadata import with_metadata
from generation.media.mux import mux, mux_new_music, preset_for
from generation.media.probe import clip_from_file, read_frames
from generation.media.provenance import ai_label_tags, sign_file
from generation.media.signing_identity import Identity
from generation.media.stills import contact_sheet, poster
from generation.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.clip import Audio, Frames

log = logging.getLogger(__name__)
MAX_ENCODER_KILLS = 2
"""How often ffmpeg may be killed for one clip; the next time, the clip counts as the cause."""


@dataclass(frozen=True, slots=True)
class ClipSigner:
    """Signs finished files with the operator's identity and names the model."""

    model: str
    ffmpeg: Ffmpeg
    identity: Identity | None = None

    async def sign(self, clip: Clip) -> Clip:
        """Must be the last step: copying or rewriting the file drops the signature."""
        if self.identity is None:
            return clip
        await asyncio.to_thread(sign_file, clip.path, identity=self.identity, model=self.model)
        return structs.replace(clip, size=(await asyncio.to_thread(clip.path.stat)).st_size)


async def finish_clip(
    frames: Frames,
    audio: Audio | None,
    target: Path,
    *,
    title: str,
    signer: ClipSigner,
    backlog: int,
    on_progress: OnProgress,
) -> Clip:
    """`backlog` is the number of renders being encoded: the more, the faster the encoder preset."""
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
    sheet = await asyncio.to_thread(contact_sheet, frames, target.with_suffix(".png"), title=title)
    return await signer.sign(structs.replace(clip, sheet=sheet))


async def finish_still(frames: Frames, target: Path, *, signer: ClipSigner) -> Clip:
    """Write a picture as a lossless PNG."""
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
    """Combine the unchanged frames of a clip with other music, and write new stills."""
    before = clip_from_file(source)
    clip = await retry_if_killed(
        lambda: mux_new_music(before, audio, target, ffmpeg=signer.ffmpeg, tags=ai_label_tags(signer.model))
    )
    frames = await asyncio.to_thread(read_frames, source)
    thumbnail = await asyncio.to_thread(poster, frames.pixels, target.with_suffix(".jpg"))
    sheet = await asyncio.to_thread(contact_sheet, frames, target.with_suffix(".png"), title=title)
    return await signer.sign(structs.replace(clip, poster=thumbnail, sheet=sheet))


async def finish_fitted(clip: Clip, limit: int, *, ffmpeg: Ffmpeg, identity: Identity) -> Clip:
    """The clip in at most `limit` bytes, signed like the original."""
    return await retry_if_killed(lambda: fit(clip, limit, ffmpeg=ffmpeg, identity=identity))


async def retry_if_killed(encode: Callable[[], Awaitable[Clip]]) -> Clip:
    """Call `encode`, and again if its ffmpeg was killed; the frames are still in memory."""
    for _ in range(MAX_ENCODER_KILLS):
        try:
            return await encode()
        except EncoderKilled:
            log.warning("ffmpeg was killed; starting it again")
    return await encode()


def _write_still(pixels: NDArray[np.uint8], part: Path, tags: Mapping[str, str]) -> None:
    from PIL import Image  # noqa: PLC0415  (only where it is used)

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    part.write_bytes(with_metadata(data.getvalue(), tags))
