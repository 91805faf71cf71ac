"""A clip under a chat's upload limit: every frame kept, the best picture that the bytes allow."""

from __future__ import annotations

import asyncio
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import ffmpeg as build

from generation.clip import Clip
from generation.errors import CannotFit, EncodeFailed
from generation.media import provenance
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.files import finished
from generation.media.fit_still import fit_still
from generation.media.identity import Identity
from generation.media.mux import CRF, output
from generation.media.probe import Facts, as_clip, check, probe
from generation.progress import OnProgress, Progress, Stage

ROOM = 0.985  # of the limit: servers refuse files that are only just below it
_MOST = 0.995
_ENOUGH = 0.955  # of the limit: a try that uses more is not bettered
_TRIES = 6  # mostly one or two are made; very short clips answer a bit rate unevenly
_SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
_STARVED = 34.0  # a rate factor above which a smaller picture looks better
_AMPLE = 24.0  # a rate factor below which nobody sees a difference
_WORST = 46.0  # a rate factor above which nothing is worth watching
_AREA = 0.75  # bytes go with the pixels to this power at equal quality
_SOUND_SHARE = 0.2
_SOUND_RATES = (96_000, 64_000)
_LEAST_FRAME = 40  # bytes a frame, below which x264 refuses to start
_SEAL = 3_500  # bytes a mark takes
_LEAST_SIDE = 64
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
    return replace(as_clip(target, facts, poster=clip.poster), sheet=clip.sheet)


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
        rungs = ladder(facts, int(self.limit * ROOM) - (_SEAL if self.identity else 0))
        if not rungs:
            raise CannotFit(self.limit, floor(facts))
        async with finished(target, "fit") as part:
            for rung in rungs:
                if (size := await self._climb(rung, facts, part)) is not None:
                    return replace(await asyncio.to_thread(probe, part), size=size)
        raise CannotFit(self.limit, floor(facts))

    async def _climb(self, rung: _Rung, facts: Facts, part: Path) -> int | None:
        """The size of the best file of this rung, left in `part`; None if none came under the limit."""
        best = part.with_name(part.name + ".best")
        aim, most, size = rung.video_bytes, int(self.limit * _MOST), None
        weighed: list[tuple[int, int]] = []
        try:
            with tempfile.TemporaryDirectory(prefix=".fit-", dir=part.parent) as scratch:
                log = str(Path(scratch) / "x264")
                await self._first_pass(rung, aim, log)
                for _ in range(_TRIES):
                    made = await self._second_pass(rung, aim, log, facts, part)
                    if made.size <= most and (size is None or made.size > size):
                        await asyncio.to_thread(part.replace, best)
                        size = made.size
                    if size is not None and size >= self.limit * _ENOUGH:
                        break
                    weighed.append((aim, made.video_bytes))
                    aim = _corrected(weighed, rung.video_bytes)
                    if aim < _LEAST_FRAME * facts.frames / 2:
                        break
            if size is not None:
                await asyncio.to_thread(best.replace, part)
        finally:
            best.unlink(missing_ok=True)
        return size

    async def _first_pass(self, rung: _Rung, aim: int, log: str) -> None:
        stream = build.output(
            self._picture(self._source(), rung), "-", f="null", vcodec="libx264", pix_fmt="yuv420p",
            **self._rate(aim, 1, log),
        )  # fmt: skip
        await run(self.ffmpeg, stream, stage="fit", on_frame=self._tell)

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
        await run(self.ffmpeg, stream, stage="fit", on_frame=lambda done: self._tell(frames + done))
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
        return {"video_bitrate": rate, "pass": number, "passlogfile": log, "preset": "medium"}

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
    """What to try, best first: the size at which this very picture is not starved, then smaller ones."""
    sound, audio_bytes = _sound(facts, budget)
    video_bytes = budget - audio_bytes - facts.overhead
    sizes = _sizes(facts)
    worth = [size for size in sizes if _factor(facts, size[0], video_bytes) <= _STARVED]
    last = sizes[-1:] if _factor(facts, sizes[-1][0], video_bytes) <= _WORST else []
    return [
        _Rung(max(2, round(facts.width * scale / 2) * 2), height, sound, video_bytes)
        for scale, height in worth or last
    ]


def _sizes(facts: Facts) -> list[tuple[float, int]]:
    sizes = [(scale, max(2, round(facts.height * scale / 2) * 2)) for scale in _SCALES]
    small = [size for size in sizes if min(size[1], facts.width * size[0]) >= _LEAST_SIDE]
    return small or sizes[:1]


def _factor(facts: Facts, scale: float, video_bytes: int) -> float:
    """The x264 rate factor at which the clip would take so many bytes: +6 halves them."""
    if video_bytes < _LEAST_FRAME * facts.frames:
        return math.inf
    return CRF + 6 * math.log2(facts.video_bytes * scale ** (2 * _AREA) / video_bytes)


def _sound(facts: Facts, budget: int) -> tuple[int | None, int]:
    """The sound stays as it is where the picture can bear it; else the best rate that leaves room."""
    costs: list[tuple[int | None, int]] = [(None, facts.audio_bytes)]
    if facts.audio:
        now = facts.audio_bytes * 8 / facts.audio_seconds
        costs += [(rate, _cost(rate, facts)) for rate in _SOUND_RATES if rate < now]
    for rate, cost in costs:
        if cost <= _SOUND_SHARE * budget or _factor(facts, 1.0, budget - cost - facts.overhead) <= _AMPLE:
            return rate, cost
    return costs[-1]


def _cost(rate: int, facts: Facts) -> int:
    return int(rate * facts.audio_seconds / 8) + 400


def floor(facts: Facts) -> int:
    """About the smallest limit that this clip can be brought under."""
    scale = _sizes(facts)[-1][0]
    video = facts.video_bytes * math.pow(scale, 2 * _AREA) * math.pow(2, (CRF - _WORST) / 6)
    video = max(video, _LEAST_FRAME * facts.frames)
    sound = min(facts.audio_bytes, _cost(_SOUND_RATES[-1], facts))
    return math.ceil((video + sound + facts.overhead + _SEAL) / ROOM * 1.02)
