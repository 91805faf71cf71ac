"""A clip under a chat's upload limit: every frame kept, the best picture that the bytes allow."""

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
from generation.media.files import finished
from generation.media.fit_still import fit_still
from generation.media.identity import Identity
from generation.media.mux import output
from generation.media.probe import Facts, as_clip, check, probe
from generation.media.size_estimate import LEAST_FRAME, LEAST_SOUND, ROOM, SEAL, floor, sizes
from generation.progress import OnProgress, Progress, Stage

_MOST = 0.995
_ENOUGH = 0.955  # of the limit: a try that uses more is not bettered
_TRIES = 3  # the first, and two corrections
_SHORT, _SHORT_TRIES = 60, 6  # frames: such clips answer a bit rate unevenly, and a try costs next to nothing
_STARVED = 39.5  # mean quantiser of a first pass above which a smaller picture has the higher VMAF
_DENSEST = 12  # times fewer bytes than the clip has now, at the smallest size
_SOUND_SHARE = 0.2
_SOUND_RATES = (128_000, 96_000, LEAST_SOUND)
_BACKGROUND = 5  # niceness: the chats are served from the same machine
_PRESETS = ((150e6, "slower"), (500e6, "slow"), (math.inf, "medium"))  # up to so many pixels in a clip
_FOR_EYES = "psy=0:aq-mode=2:aq-strength=0.5"  # with few bytes: +4 to +6 VMAF over x264's defaults
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class _Rung:
    """One step of the ladder; `audio` is a bit rate, or None where the sound stays as it is."""

    width: int
    height: int
    audio: int | None
    video_bytes: int


async def fit(
    clip: Clip,
    limit: int,
    *,
    ffmpeg: Ffmpeg,
    on_progress: OnProgress | None = None,
    identity: Identity | None = None,
) -> Clip:
    """The clip itself if it is small enough, else a smaller one beside it, kept for the next asker.

    With an identity the smaller one is marked as the clip is. Raises CannotFit below what is worth watching,
    EncodeFailed when the clip itself is damaged.
    """
    if clip.size <= limit * ROOM:
        return clip
    if clip.path.suffix != ".mp4":
        return await asyncio.to_thread(fit_still, clip, limit, identity)
    target = clip.path.with_name(f"{clip.path.stem}.fit-{limit}.mp4")
    async with _turns.setdefault(str(target), asyncio.Lock()):
        facts = await asyncio.to_thread(_kept, clip, target, limit)
        if facts is None:
            facts = await _Fitting(clip, limit, ffmpeg, on_progress, identity).into(target)
    return structs.replace(as_clip(target, facts, poster=clip.poster), sheet=clip.sheet)


def _kept(clip: Clip, target: Path, limit: int) -> Facts | None:
    """What an earlier fit left, unless the clip was made again since."""
    try:
        known, master = target.stat(), clip.path.stat()
        return probe(target) if known.st_size <= limit and known.st_mtime_ns >= master.st_mtime_ns else None
    except (OSError, EncodeFailed):
        return None


@dataclass(frozen=True, slots=True)
class _Fitting:
    clip: Clip
    limit: int
    ffmpeg: Ffmpeg
    on_progress: OnProgress | None
    identity: Identity | None

    async def into(self, target: Path) -> Facts:
        try:
            facts = await asyncio.to_thread(probe, self.clip.path)
        except FileNotFoundError as error:
            raise EncodeFailed("fit", f"{self.clip.path.name} is gone") from error
        if facts.frames != self.clip.frames:
            raise EncodeFailed("fit", f"{facts.frames} frames of {self.clip.frames}")
        rungs = ladder(facts, int(self.limit * ROOM) - (SEAL if self.identity else 0))
        least = _floor(facts)
        if self.limit < least:
            raise CannotFit(self.limit, least)
        async with finished(target, "fit") as part:
            for rung in rungs:
                if (size := await self._climb(rung, facts, part, last=rung is rungs[-1])) is not None:
                    return replace(await asyncio.to_thread(probe, part), size=size)
        raise CannotFit(self.limit, max(least, int(self.limit * 1.25)))

    async def _climb(self, rung: _Rung, facts: Facts, part: Path, *, last: bool) -> int | None:
        """The size of this rung's best file, left in `part`; None if it starves or is never small enough."""
        best = part.with_name(part.name + ".best")
        aim, most, size = rung.video_bytes, int(self.limit * _MOST), None
        weighed: list[tuple[int, int]] = []
        try:
            with tempfile.TemporaryDirectory(prefix=".fit-", dir=part.parent) as scratch:
                log = str(Path(scratch) / "x264")
                if await self._first_pass(rung, aim, log) > _STARVED and not last:
                    return None
                tries = _SHORT_TRIES if facts.frames < _SHORT else _TRIES
                while len(weighed) < tries and aim >= LEAST_FRAME * facts.frames / 2:
                    made = await self._second_pass(rung, aim, log, facts, part)
                    if made.size <= most and (size is None or made.size > size):
                        await asyncio.to_thread(part.replace, best)
                        size = made.size
                    if size is not None and size >= self.limit * _ENOUGH:
                        break
                    weighed.append((aim, made.video_bytes))
                    aim = _corrected(weighed, rung.video_bytes)
            if size is not None:
                await asyncio.to_thread(best.replace, part)
        finally:
            best.unlink(missing_ok=True)
        return size

    async def _first_pass(self, rung: _Rung, aim: int, log: str) -> float:
        """The mean quantiser that so many bytes leave at this size."""
        stream = build.output(
            self._picture(self._source(), rung), "-", f="null", vcodec="libx264", pix_fmt="yuv420p",
            **self._rate(aim, 1, log),
        )  # fmt: skip
        await run(self.ffmpeg, stream, stage="fit", on_frame=self._tell, nice=_BACKGROUND)
        return await asyncio.to_thread(_mean_quantiser, Path(f"{log}-0.log"))

    async def _second_pass(self, rung: _Rung, aim: int, log: str, master: Facts, part: Path) -> Facts:
        source = self._source()
        stream = output(
            self._picture(source, rung),
            source["a"] if master.audio else None,
            part,
            video=self._rate(aim, 2, log),
            audio={"acodec": "aac", "audio_bitrate": rung.audio} if rung.audio else None,
            tags={name: text for name, text in master.tags.items() if name == "comment"},
        )
        frames = self.clip.frames
        await run(
            self.ffmpeg,
            stream,
            stage="fit",
            on_frame=lambda done: self._tell(frames + done),
            nice=_BACKGROUND,
        )
        facts = await check(part, frames=frames, fps=self.clip.fps, audio=master.audio, ffmpeg=self.ffmpeg)
        return replace(facts, size=await asyncio.to_thread(self._sealed, part))

    def _sealed(self, part: Path) -> int:
        if self.identity is not None:
            made_with = provenance.verify(self.clip.path).model
            provenance.mark(part, identity=self.identity, model=made_with or "unknown")
        return part.stat().st_size

    def _source(self) -> Any:
        return build.input(str(self.clip.path), f="mp4", protocol_whitelist="file")

    def _picture(self, source: Any, rung: _Rung) -> Any:
        if (rung.width, rung.height) == (self.clip.width, self.clip.height):
            return source["v"]
        return source["v"].filter("scale", rung.width, rung.height, flags="lanczos")

    def _rate(self, aim: int, number: int, log: str) -> dict[str, Any]:
        rate = int(aim * 8 / self.clip.seconds)
        pixels = self.clip.width * self.clip.height * self.clip.frames
        preset = next(name for most, name in _PRESETS if pixels <= most)
        chosen = {"preset": preset, "x264-params": _FOR_EYES}
        return {"video_bitrate": rate, "pass": number, "passlogfile": log} | chosen

    def _tell(self, done: int) -> None:
        if self.on_progress is not None:
            total = 2 * self.clip.frames
            self.on_progress(Progress(Stage.FITTING, min(done, total), total))


def _corrected(weighed: list[tuple[int, int]], wanted: int) -> int:
    """What to ask for next: between the nearest tries on both sides, else in proportion."""
    under = max((each for each in weighed if each[1] <= wanted), default=None)
    over = min((each for each in weighed if each[1] > wanted), default=None)
    if under and over and under[0] < over[0]:
        way = math.log(wanted / under[1]) / math.log(over[1] / under[1])
        return int(under[0] * math.pow(over[0] / under[0], min(0.8, max(0.2, way))))
    aim, got = weighed[-1]
    return int(aim * wanted / max(1, got) * (0.985 if got > wanted else 1.0))


def ladder(facts: Facts, budget: int) -> list[_Rung]:
    """What to try, best first: the picture as large as it is, then smaller ones."""
    sound, audio_bytes = _sound(facts, budget)
    video_bytes = budget - audio_bytes - facts.overhead
    return [_Rung(width, height, sound, video_bytes) for width, height in sizes(facts.width, facts.height)]


def _mean_quantiser(log: Path) -> float:
    found = [float(each) for each in re.findall(r" q:([\d.]+)", log.read_text())]
    return sum(found) / max(1, len(found))


def _sound(facts: Facts, budget: int) -> tuple[int | None, int]:
    """The sound stays as it is where the picture can bear it; else the best rate that leaves room."""
    costs: list[tuple[int | None, int]] = [(None, facts.audio_bytes)]
    if facts.audio:
        now = facts.audio_bytes * 8 / facts.audio_seconds
        costs += [(rate, _cost(rate, facts)) for rate in _SOUND_RATES if rate < now]
    return next((each for each in costs if each[1] <= _SOUND_SHARE * budget), costs[-1])


def _cost(rate: int, facts: Facts) -> int:
    return int(rate * facts.audio_seconds / 8) + 400


def _floor(facts: Facts) -> int:
    """By its measures, or by what it is now: a plain picture takes few bytes."""
    by_measures = floor(facts.width, facts.height, facts.frames, facts.seconds, sound=facts.audio)
    sound = min(facts.audio_bytes, _cost(LEAST_SOUND, facts))
    return min(by_measures, math.ceil((facts.video_bytes / _DENSEST + sound + facts.overhead + SEAL) / ROOM))
