"""The recipe: frames beside score, then mux, then stills, then mark."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from generation.clip import Clip, Frames, Score
from generation.errors import AttachmentRefused, PaintFailed, ScoreFailed, Told
from generation.failpoint import Place, here
from generation.media import identity
from generation.media.ffmpeg import find
from generation.media.files import make_folder, told
from generation.media.identity import Identity
from generation.media.probe import as_clip, read_frames
from generation.media.stills import preview
from generation.models.common.frames import fitted
from generation.models.common.memory_plan import Means
from generation.models.common.model_cache import Residents
from generation.music.common import registry
from generation.order import Order
from generation.progress import PREVIEW, Cancelled, OnProgress, OnStep, Progress, Stage
from generation.rendering.finalize import Maker, finish, finish_again, finish_still
from generation.rendering.music_batching import Ensemble
from generation.rendering.worker_thread import Hand
from generation.request import Kind, Request

__all__ = ["Kit", "Order", "render"]

SOUND_RATE = 48_000
CLIP, STILL = "clip.mp4", "clip.png"
SILENT = "none"
NATIVE = "native"


class Kit:
    """What a child keeps from one render to the next: loaded models, music makers, and its two hands."""

    def __init__(
        self,
        *,
        ffmpeg: str = "",
        options: Mapping[str, Mapping[str, Any]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        means: Means | None = None,
    ) -> None:
        self.ffmpeg = find(ffmpeg or None)
        self.encoding = 0  # renders that are past the painter
        self.score_options = dict(options or {})
        self.identity = _identity(dict(provenance or {}))
        self.models = Residents(means)
        self.makers: dict[str, registry.ScoreMaker] = {}
        self.painter = Hand("painter")
        self.scorer = Hand("scorer")
        self.ensemble = Ensemble(self.scorer, self.maker, SOUND_RATE)

    def maker(self, name: str) -> registry.ScoreMaker:
        if name not in self.makers:
            self.makers[name] = registry.load(name, dict(self.score_options.get(name, {})))
        return self.makers[name]

    def signer(self, order: Order) -> Maker:
        return Maker(order.preset.title.partition(":")[0], self.ffmpeg, self.identity)

    @contextmanager
    def encoder(self) -> Iterator[int]:
        """How many others are being encoded already."""
        self.encoding += 1
        try:
            yield self.encoding - 1
        finally:
            self.encoding -= 1

    def close(self) -> None:
        self.painter.close()
        self.scorer.close()
        self.models.close()
        for maker in self.makers.values():
            maker.close()


def _identity(provenance: dict[str, str]) -> Identity | None:
    """The operator's certificate, else the one of this data folder; none where neither is named."""
    if "chain" in provenance:
        return identity.given(Path(provenance["chain"]), Path(provenance["key"]))
    return identity.own(Path(provenance["folder"])) if "folder" in provenance else None


async def render(order: Order, kit: Kit, on_progress: OnProgress) -> Clip:
    """Everything from an order to its clip. When it fails or is cancelled nothing half-made is left."""
    try:
        make_folder(order.folder)
    except OSError as error:
        raise told(error, order.folder, "folder") from error
    request, target = order.request, order.folder / CLIP
    if request.kind is Kind.SCORE:
        return await _rescored(order, kit, on_progress, target)
    maker = kit.signer(order)
    try:
        frames, score = await _both(order, kit, on_progress)
        if request.kind is Kind.IMAGE:
            return await finish_still(frames, order.folder / STILL, maker=maker)
        with kit.encoder() as backlog:
            return await finish(
                frames,
                await _sound(request, frames, score),
                target,
                title=request.prompt,
                maker=maker,
                backlog=backlog,
                on_progress=on_progress,
            )
    finally:
        (order.folder / PREVIEW).unlink(missing_ok=True)


async def _both(order: Order, kit: Kit, on_progress: OnProgress) -> tuple[Frames, Score | None]:
    """Picture and music at once; the end of either is the end of both."""
    length: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    painting = asyncio.create_task(_paint(order, kit, on_progress, length))
    scoring = asyncio.create_task(_score(order.request, kit, on_progress, length))
    try:
        return await asyncio.gather(painting, scoring)
    finally:
        painting.cancel()
        scoring.cancel()
        await asyncio.gather(painting, scoring, return_exceptions=True)


async def _rescored(order: Order, kit: Kit, on_progress: OnProgress, target: Path) -> Clip:
    request = order.request
    assert request.source is not None
    source = Path(request.source)
    facts = await asyncio.to_thread(as_clip, source)
    length: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    length.set_result(facts.frames / facts.fps)
    on_progress(Progress(Stage.SCORING, 0, 1))
    score = await _score(request, kit, on_progress, length)
    on_progress(Progress(Stage.ENCODING, 0, facts.frames))
    return await finish_again(source, score, target, title=request.prompt, maker=kit.signer(order))


async def _paint(order: Order, kit: Kit, on_progress: OnProgress, length: asyncio.Future[float]) -> Frames:
    """`length` is told as soon as it is known: mostly before the first step."""
    request = order.request

    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.PAINTING, done, total))

    def work(on_step: OnStep) -> Frames:
        try:
            here(Place.PAINT)
            frames = kit.models.paint(order.preset, request, on_step)
            here(Place.PAINTED)
        except (Told, Cancelled):
            raise
        except Exception as error:
            raise PaintFailed(order.preset.name, _reason(error)) from error
        return frames

    async with kit.painter.turn():
        if request.kind is not Kind.EXTEND:
            length.set_result(request.seconds)
        stage = Stage.PAINTING if order.preset in kit.models else Stage.LOADING
        on_progress(Progress(stage, 0, request.steps))
        frames = await kit.painter.do(work, step)
    if request.kind is Kind.EXTEND:
        frames = await asyncio.to_thread(_joined, Path(request.source or ""), frames)
        length.set_result(frames.seconds)
    if request.kind is not Kind.IMAGE:
        await asyncio.to_thread(preview, frames.pixels, order.folder / PREVIEW)
    return frames


def _joined(source: Path, frames: Frames) -> Frames:
    """The clip it goes on from, and what is new of its continuation."""
    import numpy as np  # noqa: PLC0415  (heavy)

    before = read_frames(source)
    count, height, width, _ = frames.pixels.shape
    start = fitted(before.pixels, len(before.pixels), width, height)
    assert count > frames.carried
    new = frames.pixels[frames.carried :]
    audio = _sound_of_both(source, before.seconds, frames) if frames.audio is not None else None
    return Frames(np.concatenate([start, new]), before.fps, audio)


def _sound_of_both(source: Path, seconds: float, frames: Frames) -> Score:
    """A joint model's own sound goes on where the clip's ended; a clip without any was silent."""
    import numpy as np  # noqa: PLC0415  (heavy)

    from generation.music.common.audio_decode import read  # noqa: PLC0415  (heavy)

    assert frames.audio is not None
    rate, new = frames.audio.rate, frames.audio.samples
    old = np.zeros((round(seconds * rate), new.shape[1]), np.float32)
    with suppress(AttachmentRefused):
        heard = read(source)
        at = np.arange(len(old)) * heard.rate / rate
        for ear in range(new.shape[1]):
            samples = heard.samples[:, min(ear, heard.samples.shape[1] - 1)]
            old[:, ear] = np.interp(at, np.arange(len(samples)), samples)
    return Score(np.concatenate([old, new[round(frames.carried / frames.fps * rate) :]]), rate)


async def _score(
    request: Request, kit: Kit, on_progress: OnProgress, length: asyncio.Future[float]
) -> Score | None:
    """As long as the picture to the sample; begun before the picture is there, where its length is known."""
    music = request.music
    if music.genre in {SILENT, NATIVE} or request.kind is Kind.IMAGE:
        return None

    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.SCORING, done, total))

    samples = round(await length * SOUND_RATE)
    try:
        return await kit.ensemble.play(music, samples, step)
    except (Told, Cancelled):
        raise
    except Exception as error:
        raise ScoreFailed(music.maker, _reason(error)) from error


async def _sound(request: Request, frames: Frames, score: Score | None) -> Score | None:
    """Music beside a joint model's own sound steps back while that has something to say."""
    if score is None:
        return frames.audio if request.music.genre == NATIVE else None
    if frames.audio is None:
        return score
    from generation.music.common.ducking import mixed  # noqa: PLC0415  (heavy)

    return await asyncio.to_thread(mixed, frames.audio, score)


def _reason(error: Exception) -> str:
    """For the log and the row, never for a person: the traceback has the rest."""
    return f"{type(error).__name__}: {error}"[:500]
