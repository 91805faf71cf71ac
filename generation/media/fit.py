"""A clip under a chat's upload limit: every frame kept, the best picture that the bytes allow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ffmpeg as build

from generation.clip import Clip
from generation.errors import CannotFit, EncodeFailed
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.files import finished
from generation.media.mux import as_clip, output
from generation.media.probe import Facts, check, probe
from generation.progress import OnProgress, Progress, Stage

MARGIN = 0.985
"""Of the limit: servers refuse files that are only just below it."""
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
BITS_A_PIXEL = 0.035
"""Below this a smaller picture looks better than a starved one."""
LEAST_BITS_A_PIXEL = 0.012
LEAST_BITS = 24_000
"""A second: below this x264 keeps no budget, whatever the size."""
SMALLEST_SIDE = 64
TRIES = 3
AUDIO_SHARE = 0.25
AUDIO_RATES = (128_000, 96_000, 64_000, 48_000)


@dataclass(frozen=True, slots=True)
class Plan:
    width: int
    height: int
    video: int  # bits a second
    audio: int | None  # bits a second, None to keep the sound as it is


async def fit(clip: Clip, limit: int, *, ffmpeg: Ffmpeg, on_progress: OnProgress | None = None) -> Clip:
    """The clip itself if it is small enough, else a smaller one beside it; raises CannotFit."""
    budget = int(limit * MARGIN)
    if clip.size <= budget:
        return clip
    target = clip.path.with_name(f"{clip.path.stem}-{limit}.mp4")
    if target.is_file() and target.stat().st_size <= limit:
        return _beside(as_clip(target), clip)
    facts = probe(clip.path)
    plan = _plan(facts, clip, limit, budget)
    with tempfile.TemporaryDirectory(prefix="fit-", dir=clip.path.parent) as scratch:
        made = await _tries(clip, plan, budget, Path(scratch), ffmpeg, on_progress)
        async with finished(target, "fit") as part:
            shutil.move(made, part)
    return _beside(as_clip(target), clip)


def _beside(smaller: Clip, clip: Clip) -> Clip:
    return replace(smaller, poster=clip.poster, sheet=clip.sheet)


def _plan(facts: Facts, clip: Clip, limit: int, budget: int) -> Plan:
    """The largest picture that is not starved of bits; sound gives way first."""
    audio, audio_bytes = _sound(facts, clip, budget)
    overhead = max(2000, facts.size - facts.video_bytes - facts.audio_bytes)
    video = int((budget - audio_bytes - overhead) * 8 / clip.seconds)
    sizes = list(_sizes(clip))
    for width, height in sizes:
        if video >= BITS_A_PIXEL * width * height * clip.fps:
            return Plan(width, height, video, audio)
    width, height = sizes[-1]
    least = max(LEAST_BITS, LEAST_BITS_A_PIXEL * width * height * clip.fps)
    if video < least:
        raise CannotFit(limit, int((least * clip.seconds / 8 + audio_bytes + overhead) / MARGIN) + 1)
    return Plan(width, height, video, audio)


def _sound(facts: Facts, clip: Clip, budget: int) -> tuple[int | None, int]:
    """Kept where it is a small part; else the best rate that is one."""
    if not facts.audio:
        return None, 0
    if facts.audio_bytes <= AUDIO_SHARE * budget:
        return None, facts.audio_bytes
    for rate in AUDIO_RATES:
        if rate * clip.seconds / 8 <= AUDIO_SHARE * budget:
            return rate, int(rate * clip.seconds / 8)
    return AUDIO_RATES[-1], int(AUDIO_RATES[-1] * clip.seconds / 8)


def _sizes(clip: Clip) -> Iterator[tuple[int, int]]:
    for scale in SCALES:
        width, height = (max(2, round(side * scale / 2) * 2) for side in (clip.width, clip.height))
        if scale == 1.0 or min(width, height) >= SMALLEST_SIDE:
            yield width, height


async def _tries(
    clip: Clip, plan: Plan, budget: int, scratch: Path, ffmpeg: Ffmpeg, on_progress: OnProgress | None
) -> Path:
    """Encode and weigh; what is too heavy is tried again at the measured ratio."""
    made = scratch / "fitted.mp4"
    for _ in range(TRIES):
        await _two_passes(clip, plan, made, ffmpeg, on_progress)
        weight = made.stat().st_size
        if weight <= budget:
            return made
        plan = replace(plan, video=max(LEAST_BITS // 2, int(plan.video * budget / weight * 0.97)))
    raise CannotFit(budget, weight)


async def _two_passes(
    clip: Clip, plan: Plan, made: Path, ffmpeg: Ffmpeg, on_progress: OnProgress | None
) -> None:
    log = str(made.with_suffix(".log"))

    def on_frame(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress(Stage.FITTING, min(done, clip.frames), clip.frames))

    for number in (1, 2):
        source = build.input(str(clip.path), f="mp4", protocol_whitelist="file")
        picture = source["v"].filter("scale", plan.width, plan.height, flags="lanczos")
        video = {"video_bitrate": plan.video, "pass": number, "passlogfile": log, "preset": "medium"}
        if number == 1:
            stream: Any = build.output(picture, "-", f="null", vcodec="libx264", pix_fmt="yuv420p", **video)
            await run(ffmpeg, stream, stage="fit")
        else:
            sound = source["a"] if clip.audio else None
            stream = output(picture, sound, made, video=video, tags=probe(clip.path).tags)
            if plan.audio is not None:
                stream.node.kwargs |= {"acodec": "aac", "audio_bitrate": plan.audio, "ar": 48000}
            await run(ffmpeg, stream, stage="fit", on_frame=on_frame)
    facts = await check(made, frames=clip.frames, fps=clip.fps, audio=clip.audio, ffmpeg=ffmpeg)
    if (facts.width, facts.height) != (plan.width, plan.height):
        raise EncodeFailed("fit", f"{facts.width}x{facts.height} instead of {plan.width}x{plan.height}")
