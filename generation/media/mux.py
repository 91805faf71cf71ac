"""Mux frames and music to one MP4 with every frame, without a temporary video; music at -14 LUFS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffmpeg as build

from generation.clip import Audio, Clip, Frames
from generation.errors import EncodeFailed
from generation.media import loudness
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.files import atomic_file
from generation.media.probe import MediaInfo, check_file, clip_from_file
from generation.media.stills import poster
from generation.progress import OnProgress, Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

CRF = 19
QUICK, QUICKER, QUICKEST = "quick", "quicker", "quickest"
_FAST_X264_PARAMS = "aq-mode=1:deblock=0,0:mbtree=1:rc-lookahead=10:scenecut=40:8x8dct=1"
_PRESETS: dict[str, dict[str, Any]] = {
    QUICK: {"preset": "ultrafast", "x264-params": f"{_FAST_X264_PARAMS}:cabac=1"},
    QUICKER: {"preset": "ultrafast", "x264-params": _FAST_X264_PARAMS},
    QUICKEST: {"preset": "ultrafast"},
}
"""QUICK files are as small as x264's veryfast for half the work; the others are faster, not worse."""
_PRESET_BY_BACKLOG = (QUICK, QUICKER, QUICKER, QUICKEST)
_COLOUR: dict[str, Any] = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}


def preset_for(backlog: int) -> str:
    """The preset while `backlog` other clips are encoded: encoding must never delay frame generation."""
    return _PRESET_BY_BACKLOG[min(max(0, backlog), len(_PRESET_BY_BACKLOG) - 1)]


async def mux(  # noqa: PLR0913  (most are optional)
    frames: Frames,
    audio: Audio | None,
    target: Path,
    *,
    ffmpeg: Ffmpeg,
    on_progress: OnProgress | None = None,
    preset: str = _PRESET_BY_BACKLOG[0],
    threads: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> Clip:
    """Write the clip and its poster. `preset` is one of this module's or x264's."""
    count, height, width, _ = frames.pixels.shape
    if not count or min(height, width) < 2:
        raise EncodeFailed("encode", f"nothing to encode: {count} frames of {width}x{height}")
    options = (
        _PRESETS.get(preset, {"preset": preset}) | {"crf": CRF} | ({"threads": threads} if threads else {})
    )

    def on_frame(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress(Stage.ENCODING, min(done, count), count))

    picture = _raw_video_input(frames)
    async with (
        atomic_file(target, "encode") as part,
        _audio_input(audio, frames.seconds, part, ffmpeg) as sound,
    ):
        out = mp4_output(picture, sound, part, video=options, tags=tags or {})
        await run(ffmpeg, out, stage="encode", feed=_contiguous_frames(frames.pixels), on_frame=on_frame)
        facts = await check_file(part, frames=count, fps=frames.fps, audio=sound is not None, ffmpeg=ffmpeg)
    return await _clip_with_poster(target, facts, frames.pixels)


async def mux_new_music(
    clip: Clip, audio: Audio | None, target: Path, *, ffmpeg: Ffmpeg, tags: Mapping[str, str] | None = None
) -> Clip:
    """Copy the video stream unchanged, with other music or none."""
    picture = build.input(str(clip.path), f="mp4", protocol_whitelist="file")["v"]
    async with (
        atomic_file(target, "encode") as part,
        _audio_input(audio, clip.seconds, part, ffmpeg) as sound,
    ):
        out = mp4_output(picture, sound, part, video={"vcodec": "copy"}, tags=tags or {})
        await run(ffmpeg, out, stage="encode")
        facts = await check_file(
            part, frames=clip.frames, fps=clip.fps, audio=sound is not None, ffmpeg=ffmpeg
        )
    return clip_from_file(target, facts, poster=clip.poster)


def mp4_output(
    picture: Any,
    audio_stream: Any,
    part: Path,
    *,
    video: Mapping[str, Any],
    tags: Mapping[str, str],
    audio: Mapping[str, Any] | None = None,
) -> Any:
    """An MP4 that every chat can stream: H.264 High, yuv420p, bt709, with the index at the front."""
    streams = [picture] if audio_stream is None else [picture, audio_stream]
    encode = {"vcodec": "libx264", "profile:v": "high", "pix_fmt": "yuv420p", "color_range": "tv"} | _COLOUR
    return build.output(
        *streams,
        str(part),
        f="mp4",
        movflags="+faststart",
        map_metadata=-1,
        **{f"metadata:g:{at}": f"{name}={value}" for at, (name, value) in enumerate(tags.items())},
        **(dict(video) if video.get("vcodec") == "copy" else encode | dict(video)),
        **({} if audio_stream is None else {"acodec": "copy"} | dict(audio or {})),
    )


def _raw_video_input(frames: Frames) -> Any:
    _, height, width, _ = frames.pixels.shape
    rate = Fraction(frames.fps).limit_denominator(1001)
    stream = build.input(
        "pipe:0", f="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=str(rate)
    )
    if width % 2 or height % 2:
        stream = stream.filter("crop", width // 2 * 2, height // 2 * 2, 0, 0)
    stream = stream.filter("scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd")
    return stream.filter("format", "yuv420p").filter("setparams", range="tv", **_COLOUR)


def _contiguous_frames(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    import numpy as np  # noqa: PLC0415  (only where it is used)

    for frame in pixels:
        yield np.ascontiguousarray(frame, dtype=np.uint8)


@asynccontextmanager
async def _audio_input(audio: Audio | None, seconds: float, part: Path, ffmpeg: Ffmpeg) -> AsyncIterator[Any]:
    """Yields the music as an AAC input of exactly `seconds`; its temporary file is deleted afterwards."""
    if audio is None or not len(audio.samples):
        yield None
        return
    track = part.with_name(part.name + ".sound")
    try:
        await loudness.encode_normalized(loudness.fit_length(audio, seconds), track, ffmpeg=ffmpeg)
        yield build.input(str(track), f="mp4", protocol_whitelist="file")["a"]
    finally:
        track.unlink(missing_ok=True)


async def _clip_with_poster(target: Path, facts: MediaInfo, pixels: NDArray[np.uint8]) -> Clip:
    picture = await asyncio.to_thread(poster, pixels, target.with_suffix(".jpg"))
    return clip_from_file(target, facts, poster=picture)
