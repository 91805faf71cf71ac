"""Re-encode a clip to fit a chat's upload limit, with every frame and the best possible picture."""

from __future__ import annotations

import asyncio
import math
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import ffmpeg as build
from msgspec import structs

from generation.clip import Clip
from generation.errors import CannotFit, EncodeFailed
from generation.media import provenance
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.files import atomic_file
from generation.media.fit_still import fit_still
from generation.media.mux import mp4_output
from generation.media.probe import MediaInfo, check_file, clip_from_file, probe
from generation.media.signing_identity import Identity
from generation.media.size_estimate import (
    LIMIT_MARGIN,
    MIN_AUDIO_BITRATE,
    MIN_FRAME_BYTES,
    SIGNATURE_BYTES,
    scaled_sizes,
    smallest_limit,
)
from generation.progress import OnProgress, Progress, Stage

_MAX_SHARE = 0.995
_GOOD_ENOUGH_SHARE = 0.955  # of the limit: an attempt that uses more is good enough
_MAX_TRIES = 3  # the first and two corrections
_SHORT_CLIP_FRAMES, _SHORT_CLIP_TRIES = 60, 6  # size follows bit rate unevenly; attempts are cheap
_MAX_QUANTISER = 39.5  # of a first pass; above it, a smaller picture has the higher VMAF
_MAX_COMPRESSION = 12  # at most, of the video bytes, at the smallest size
_SOUND_SHARE = 0.2
_SOUND_RATES = (128_000, 96_000, MIN_AUDIO_BITRATE)
_NICENESS = 5  # the bot serves the chats from the same machine
_PRESETS = ((150e6, "slower"), (500e6, "slow"), (math.inf, "medium"))  # by the most pixels of a clip
_X264_PARAMS = "psy=0:aq-mode=2:aq-strength=0.5"  # at low bit rates: 4 to 6 VMAF better than x264's defaults
_target_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Encoding parameters to try; `audio_bitrate` is None if the audio is copied."""

    width: int
    height: int
    audio_bitrate: int | None
    video_bytes: int


async def fit(
    clip: Clip,
    limit: int,
    *,
    ffmpeg: Ffmpeg,
    on_progress: OnProgress | None = None,
    identity: Identity | None = None,
) -> Clip:
    """The clip itself if it is small enough, else a smaller file beside it, which later calls reuse.

    With an identity, the smaller file is signed like the clip. Raises CannotFit if the quality would be
    unacceptable, EncodeFailed if the clip is damaged.
    """
    if clip.size <= limit * LIMIT_MARGIN:
        return clip
    if clip.path.suffix != ".mp4":
        return await asyncio.to_thread(fit_still, clip, limit, identity)
    target = clip.path.with_name(f"{clip.path.stem}.fit-{limit}.mp4")
    async with _target_locks.setdefault(str(target), asyncio.Lock()):
        facts = await asyncio.to_thread(_read_earlier_fit, clip, target, limit)
        if facts is None:
            facts = await _Fitter(clip, limit, ffmpeg, on_progress, identity).write(target)
    return structs.replace(clip_from_file(target, facts, poster=clip.poster), sheet=clip.sheet)


def _read_earlier_fit(clip: Clip, target: Path, limit: int) -> MediaInfo | None:
    """The file of an earlier fit, unless the clip is newer."""
    try:
        fitted, original = target.stat(), clip.path.stat()
        if fitted.st_size <= limit and fitted.st_mtime_ns >= original.st_mtime_ns:
            return probe(target)
    except (OSError, EncodeFailed):
        pass
    return None


@dataclass(frozen=True, slots=True)
class _Fitter:
    clip: Clip
    limit: int
    ffmpeg: Ffmpeg
    on_progress: OnProgress | None
    identity: Identity | None

    async def write(self, target: Path) -> MediaInfo:
        try:
            facts = await asyncio.to_thread(probe, self.clip.path)
        except FileNotFoundError as error:
            raise EncodeFailed("fit", f"{self.clip.path.name} does not exist") from error
        if facts.frames != self.clip.frames:
            raise EncodeFailed("fit", f"{facts.frames} frames of {self.clip.frames}")
        candidates = encode_candidates(
            facts, int(self.limit * LIMIT_MARGIN) - (SIGNATURE_BYTES if self.identity else 0)
        )
        smallest = _smallest_limit(facts)
        if self.limit < smallest:
            raise CannotFit(self.limit, smallest)
        async with atomic_file(target, "fit") as part:
            for candidate in candidates:
                if (
                    size := await self._try_candidate(
                        candidate, facts, part, last=candidate is candidates[-1]
                    )
                ) is not None:
                    return replace(await asyncio.to_thread(probe, part), size=size)
        raise CannotFit(self.limit, max(smallest, int(self.limit * 1.25)))

    async def _try_candidate(
        self, candidate: _Candidate, facts: MediaInfo, part: Path, *, last: bool
    ) -> int | None:
        """Write this candidate's best file to `part` and return its size; None if none fits well."""
        best = part.with_name(part.name + ".best")
        target_bytes, max_bytes, size = candidate.video_bytes, int(self.limit * _MAX_SHARE), None
        attempts: list[tuple[int, int]] = []
        try:
            with tempfile.TemporaryDirectory(prefix=".fit-", dir=part.parent) as scratch:
                stats_file = str(Path(scratch) / "x264")
                if await self._first_pass(candidate, target_bytes, stats_file) > _MAX_QUANTISER and not last:
                    return None
                max_tries = _SHORT_CLIP_TRIES if facts.frames < _SHORT_CLIP_FRAMES else _MAX_TRIES
                while len(attempts) < max_tries and target_bytes >= MIN_FRAME_BYTES * facts.frames / 2:
                    encoded = await self._second_pass(candidate, target_bytes, stats_file, facts, part)
                    if encoded.size <= max_bytes and (size is None or encoded.size > size):
                        await asyncio.to_thread(part.replace, best)
                        size = encoded.size
                    if size is not None and size >= self.limit * _GOOD_ENOUGH_SHARE:
                        break
                    attempts.append((target_bytes, encoded.video_bytes))
                    target_bytes = _next_target(attempts, candidate.video_bytes)
            if size is not None:
                await asyncio.to_thread(best.replace, part)
        finally:
            best.unlink(missing_ok=True)
        return size

    async def _first_pass(self, candidate: _Candidate, target_bytes: int, stats_file: str) -> float:
        """The mean quantiser for `target_bytes` at this size."""
        stream = build.output(
            self._scaled_video(self._source(), candidate), "-", f="null", vcodec="libx264", pix_fmt="yuv420p",
            **self._rate_options(target_bytes, 1, stats_file),
        )  # fmt: skip
        await run(self.ffmpeg, stream, stage="fit", on_frame=self._report, nice=_NICENESS)
        return await asyncio.to_thread(_mean_quantiser, Path(f"{stats_file}-0.log"))

    async def _second_pass(
        self, candidate: _Candidate, target_bytes: int, stats_file: str, original: MediaInfo, part: Path
    ) -> MediaInfo:
        source = self._source()
        stream = mp4_output(
            self._scaled_video(source, candidate),
            source["a"] if original.audio else None,
            part,
            video=self._rate_options(target_bytes, 2, stats_file),
            audio={"acodec": "aac", "audio_bitrate": candidate.audio_bitrate}
            if candidate.audio_bitrate
            else None,
            tags={name: text for name, text in original.tags.items() if name == "comment"},
        )
        frames = self.clip.frames
        await run(
            self.ffmpeg,
            stream,
            stage="fit",
            on_frame=lambda done: self._report(frames + done),
            nice=_NICENESS,
        )
        facts = await check_file(
            part, frames=frames, fps=self.clip.fps, audio=original.audio, ffmpeg=self.ffmpeg
        )
        return replace(facts, size=await asyncio.to_thread(self._signed_size, part))

    def _signed_size(self, part: Path) -> int:
        if self.identity is not None:
            model = provenance.verify(self.clip.path).model
            provenance.sign_file(part, identity=self.identity, model=model or "unknown")
        return part.stat().st_size

    def _source(self) -> Any:
        return build.input(str(self.clip.path), f="mp4", protocol_whitelist="file")

    def _scaled_video(self, source: Any, candidate: _Candidate) -> Any:
        if (candidate.width, candidate.height) == (self.clip.width, self.clip.height):
            return source["v"]
        return source["v"].filter("scale", candidate.width, candidate.height, flags="lanczos")

    def _rate_options(self, target_bytes: int, pass_number: int, stats_file: str) -> dict[str, Any]:
        rate = int(target_bytes * 8 / self.clip.seconds)
        pixels = self.clip.width * self.clip.height * self.clip.frames
        preset = next(name for most, name in _PRESETS if pixels <= most)
        quality = {"preset": preset, "x264-params": _X264_PARAMS}
        return {"video_bitrate": rate, "pass": pass_number, "passlogfile": stats_file} | quality

    def _report(self, done: int) -> None:
        if self.on_progress is not None:
            total = 2 * self.clip.frames
            self.on_progress(Progress(Stage.FITTING, min(done, total), total))


def _next_target(attempts: list[tuple[int, int]], wanted: int) -> int:
    """The next target: between the nearest attempts on both sides, else in proportion."""
    under = max((each for each in attempts if each[1] <= wanted), default=None)
    over = min((each for each in attempts if each[1] > wanted), default=None)
    if under and over and under[0] < over[0]:
        fraction = math.log(wanted / under[1]) / math.log(over[1] / under[1])
        return int(under[0] * math.pow(over[0] / under[0], min(0.8, max(0.2, fraction))))
    last_target, got = attempts[-1]
    return int(last_target * wanted / max(1, got) * (0.985 if got > wanted else 1.0))


def encode_candidates(facts: MediaInfo, budget: int) -> list[_Candidate]:
    """What to try, best first: the original size, then smaller ones."""
    audio_bitrate, audio_bytes = _choose_audio(facts, budget)
    video_bytes = budget - audio_bytes - facts.overhead
    return [
        _Candidate(width, height, audio_bitrate, video_bytes)
        for width, height in scaled_sizes(facts.width, facts.height)
    ]


def _mean_quantiser(stats_file: Path) -> float:
    found = [float(each) for each in re.findall(r" q:([\d.]+)", stats_file.read_text())]
    return sum(found) / max(1, len(found))


def _choose_audio(facts: MediaInfo, budget: int) -> tuple[int | None, int]:
    """Copy the audio if its share is small enough, else use the highest bit rate whose share is."""
    costs: list[tuple[int | None, int]] = [(None, facts.audio_bytes)]
    if facts.audio:
        now = facts.audio_bytes * 8 / facts.audio_seconds
        costs += [(rate, _audio_bytes(rate, facts)) for rate in _SOUND_RATES if rate < now]
    return next((each for each in costs if each[1] <= _SOUND_SHARE * budget), costs[-1])


def _audio_bytes(rate: int, facts: MediaInfo) -> int:
    return int(rate * facts.audio_seconds / 8) + 400


def _smallest_limit(facts: MediaInfo) -> int:
    """Estimated from its dimensions or from its present size, which is small for simple pictures."""
    by_dimensions = smallest_limit(facts.width, facts.height, facts.frames, facts.seconds, audio=facts.audio)
    audio_bytes = min(facts.audio_bytes, _audio_bytes(MIN_AUDIO_BITRATE, facts))
    return min(
        by_dimensions,
        math.ceil(
            (facts.video_bytes / _MAX_COMPRESSION + audio_bytes + facts.overhead + SIGNATURE_BYTES)
            / LIMIT_MARGIN
        ),
    )
