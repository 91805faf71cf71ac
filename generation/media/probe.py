"""Read the properties of a finished file and verify that it is complete."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import ffmpeg as build

from generation.clip import Clip, Frames
from generation.errors import EncodeFailed
from generation.media.ffmpeg import Ffmpeg, run

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from numpy.typing import NDArray

_STAGE = "check"
MP4_OPTIONS = {"protocol_whitelist": "file", "enable_drefs": "0"}
"""So that no file makes the library open another one or an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """Properties of a file, counted from its packets rather than taken from its headers."""

    width: int
    height: int
    fps: float
    frames: int
    seconds: float  # of the video
    size: int
    overhead: int  # the container's index
    video_bytes: int
    video_codec: str
    pixel_format: str
    profile: str
    colours: tuple[int, int, int, int]
    """Primaries, transfer, matrix and range; bt709 with limited range is (1, 1, 1, 1)."""
    audio_codec: str | None = None
    audio_rate: int = 0
    audio_bytes: int = 0
    audio_seconds: float = 0.0
    tags: dict[str, str]

    @property
    def audio(self) -> bool:
        return self.audio_codec is not None


def probe(path: Path) -> MediaInfo:
    """Read one of our MP4 files; raises EncodeFailed if it is not one or is truncated."""
    sizes = _box_sizes(path)
    overhead = sum(size for kind, size in sizes.items() if kind not in {b"mdat", b"uuid"})
    try:
        with av.open(str(path), format="mp4", options=MP4_OPTIONS) as container:
            return _read_info(container, path, overhead)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise EncodeFailed(_STAGE, f"{path.name}: {error}") from error


def _box_sizes(path: Path) -> dict[bytes, int]:
    """Bytes per kind of box; a truncated file ends inside a box or lacks its index."""
    size, at = path.stat().st_size, 0
    sizes: dict[bytes, int] = {}
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4]), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16])
            if len(head) < 8 or length < 8 or at + length > size:
                raise EncodeFailed(_STAGE, f"{path.name}: truncated or damaged at byte {at} of {size}")
            sizes[kind] = sizes.get(kind, 0) + length
            at += length
    if not {b"ftyp", b"moov", b"mdat"} <= sizes.keys():
        raise EncodeFailed(_STAGE, f"{path.name}: not a complete MP4")
    return sizes


def _read_info(container: InputContainer, path: Path, overhead: int) -> MediaInfo:
    video = container.streams.video[0]
    audio = container.streams.audio[0] if container.streams.audio else None
    packets, sizes = {video.index: 0}, {video.index: 0}
    for packet in container.demux():
        if packet.size:
            index = packet.stream.index
            packets[index] = packets.get(index, 0) + 1
            sizes[index] = sizes.get(index, 0) + packet.size
    context = video.codec_context
    rate = video.average_rate or Fraction(0)
    return MediaInfo(
        width=video.width,
        height=video.height,
        fps=float(rate),
        frames=packets[video.index],
        seconds=_length(video.duration, video.time_base),
        size=path.stat().st_size,
        overhead=overhead,
        video_bytes=sizes[video.index],
        video_codec=context.name,
        pixel_format=context.pix_fmt or "",
        profile=context.profile or "",
        colours=(
            int(context.color_primaries),
            int(context.color_trc),
            int(context.colorspace),
            int(context.color_range),
        ),
        audio_codec=audio.codec_context.name if audio else None,
        audio_rate=audio.codec_context.sample_rate if audio else 0,
        audio_bytes=sizes.get(audio.index, 0) if audio else 0,
        audio_seconds=_length(audio.duration, audio.time_base) if audio else 0.0,
        tags=dict(container.metadata),
    )


def _length(duration: int | None, base: Fraction | None) -> float:
    return float((duration or 0) * (base or 0))


async def check_file(path: Path, *, frames: int, fps: float, audio: bool, ffmpeg: Ffmpeg) -> MediaInfo:
    """Verify that every frame is in the file and decodes, and return its properties; else EncodeFailed."""
    facts = await asyncio.to_thread(probe, path)
    mismatch = _mismatch(facts, frames=frames, fps=fps, audio=audio)
    if mismatch:
        raise EncodeFailed(_STAGE, f"{path.name}: {mismatch}")
    stream = build.input(str(path), f="mp4", protocol_whitelist="file", xerror=None, err_detect="explode")
    await run(ffmpeg, build.output(stream, "-", f="null"), stage=_STAGE)
    return facts


def _mismatch(facts: MediaInfo, *, frames: int, fps: float, audio: bool) -> str | None:
    if facts.frames != frames:
        return f"{facts.frames} frames of {frames}"
    if facts.video_codec != "h264" or facts.pixel_format != "yuv420p":
        return f"{facts.video_codec} in {facts.pixel_format}"
    if facts.audio != audio or (audio and facts.audio_codec != "aac"):
        return f"sound is {facts.audio_codec}"
    off = abs(facts.seconds - frames / fps)
    if audio:
        off = max(off, abs(facts.seconds - facts.audio_seconds))
    return f"picture {facts.seconds:.3f} s, sound {facts.audio_seconds:.3f} s" if off > 1 / fps else None


def read_frames(path: Path, *, last: int | None = None) -> Frames:
    """All frames of one of our clips, or the last few, as a model takes them."""
    import numpy as np  # noqa: PLC0415  (only where it is used)

    frames, fps = decoded_frames(path, last=last)
    return Frames(np.stack(list(frames)), fps())


def decoded_frames(
    path: Path, *, last: int | None = None
) -> tuple[Iterator[NDArray[np.uint8]], Callable[[], float]]:
    """The frames as RGB, one after the other, and their rate, which is known once all were read."""
    import numpy as np  # noqa: PLC0415  (only where it is used)

    _box_sizes(path)
    rates: list[float] = []

    def decode() -> Iterator[NDArray[np.uint8]]:
        with av.open(str(path), format="mp4", options=MP4_OPTIONS) as container:
            video = container.streams.video[0]
            video.thread_type = "AUTO"
            rates.append(float(video.average_rate or 0))
            for frame in container.decode(video):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)

    return (decode() if last is None else iter(deque(decode(), maxlen=last))), lambda: rates[0]


def clip_from_file(path: Path, facts: MediaInfo | None = None, *, poster: Path | None = None) -> Clip:
    """A Clip for a file; `facts` are read from it if they are not given."""
    facts = facts or probe(path)
    return Clip(
        path=path,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        frames=facts.frames,
        seconds=facts.frames / facts.fps,
        size=path.stat().st_size,
        audio=facts.audio,
        poster=poster,
    )
