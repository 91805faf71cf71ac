"""The recipe: frames beside score, then mux, then stills, then mark."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation import scores
from generation.clip import Clip, Frames, Score
from generation.errors import FolderUnwritable, PaintFailed, ScoreFailed, Told
from generation.finish import finish
from generation.hands import Hand
from generation.media.ffmpeg import find
from generation.models.plan import Means
from generation.models.preset import Preset
from generation.models.resident import Residents
from generation.progress import Cancelled, OnProgress, OnStep, Progress, Stage
from generation.request import Kind, Request

SOUND_RATE = 48_000
CLIP = "clip.mp4"
SILENT = "none"
NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One render as the engine is asked for it. Everything it writes goes into `folder`, by rename."""

    label: str  # names the render in logs and on the wire, unique while in flight
    request: Request
    preset: Preset
    folder: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "request": self.request.to_json(),
            "preset": self.preset.to_json(),
            "folder": str(self.folder),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Order:
        return cls(
            label=data["label"],
            request=Request.from_json(data["request"]),
            preset=Preset.from_json(data["preset"]),
            folder=Path(data["folder"]),
        )


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
        self.provenance = dict(provenance or {})
        self.models = Residents(means)
        self.makers: dict[str, scores.ScoreMaker] = {}
        self.painter = Hand("painter")
        self.scorer = Hand("scorer")

    def maker(self, name: str) -> scores.ScoreMaker:
        if name not in self.makers:
            self.makers[name] = scores.load(name, dict(self.score_options.get(name, {})))
        return self.makers[name]

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


async def render(order: Order, kit: Kit, on_progress: OnProgress) -> Clip:
    """Everything from an order to its clip. When it fails or is cancelled nothing half-made is left."""
    try:
        order.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderUnwritable(str(order.folder)) from error
    began = asyncio.Event()
    painting = asyncio.create_task(_paint(order, kit, on_progress, began))
    scoring = asyncio.create_task(_score(order, kit, on_progress, began))
    try:
        frames, score = await asyncio.gather(painting, scoring)
    finally:
        painting.cancel()
        scoring.cancel()
        await asyncio.gather(painting, scoring, return_exceptions=True)
    sound = score or _own_sound(order.request, frames)
    with kit.encoder() as backlog:
        return await finish(
            frames,
            sound,
            order.folder / CLIP,
            title=order.request.prompt,
            ffmpeg=kit.ffmpeg,
            backlog=backlog,
            on_progress=on_progress,
        )


async def _paint(order: Order, kit: Kit, on_progress: OnProgress, began: asyncio.Event) -> Frames:
    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.PAINTING, done, total))

    def work(on_step: OnStep) -> Frames:
        try:
            return kit.models.paint(order.preset, order.request, on_step)
        except (Told, Cancelled):
            raise
        except Exception as error:
            raise PaintFailed(order.preset.name, _reason(error)) from error

    async with kit.painter.turn():
        began.set()
        stage = Stage.PAINTING if order.preset in kit.models else Stage.LOADING
        on_progress(Progress(stage, 0, order.request.steps))
        return await kit.painter.do(work, step)


async def _score(order: Order, kit: Kit, on_progress: OnProgress, began: asyncio.Event) -> Score | None:
    """As long as the picture to the sample, from its facts alone, so that both are made at once."""
    request, music = order.request, order.request.music
    if music.genre in {SILENT, NATIVE} or request.kind is Kind.IMAGE:
        return None
    samples = round(request.frames * SOUND_RATE / request.fps)

    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.SCORING, done, total))

    def work(on_step: OnStep) -> Score:
        try:
            return kit.maker(music.maker).score(music, samples, SOUND_RATE, on_step)
        except (Told, Cancelled):
            raise
        except Exception as error:
            raise ScoreFailed(music.maker, _reason(error)) from error

    await began.wait()
    async with kit.scorer.turn():
        return await kit.scorer.do(work, step)


def _own_sound(request: Request, frames: Frames) -> Score | None:
    return frames.audio if request.music.genre == NATIVE else None


def _reason(error: Exception) -> str:
    """For the log and the row, never for a person: the traceback has the rest."""
    return f"{type(error).__name__}: {error}"[:500]
