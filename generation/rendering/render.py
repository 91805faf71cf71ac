"""Render an order: frames and music in parallel, then mux, stills and signature."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from generation.clip import Audio, Clip, Frames
from generation.errors import AttachmentRefused, ExplainedError, MusicFailed, PictureFailed
from generation.failpoint import FailPoint, pass_failpoint
from generation.media import signing_identity
from generation.media.ffmpeg import find
from generation.media.files import explain_os_error, make_folder
from generation.media.guarded_process import read_frames, read_sound
from generation.media.probe import clip_from_file
from generation.media.signing_identity import Identity
from generation.media.stills import preview
from generation.models.common.frames import fit_frames
from generation.models.common.memory_plan import Resources
from generation.models.common.model_cache import ModelCache
from generation.music.common import registry
from generation.order import Order
from generation.progress import PREVIEW_FILE, Cancelled, OnProgress, OnStep, Progress, Stage
from generation.rendering.finalize import ClipSigner, finish_clip, finish_new_music, finish_still
from generation.rendering.music_batching import SAFE_DTYPE, MusicBatcher
from generation.rendering.worker_thread import WorkerThread
from generation.request import Kind, Request

SAMPLE_RATE = 48_000
CLIP_FILE, STILL_FILE = "clip.mp4", "clip.png"
NO_MUSIC = "none"
NATIVE_AUDIO = "native"


class RenderContext:
    """What a child process keeps between renders: models, music makers and two worker threads."""

    def __init__(
        self,
        *,
        ffmpeg: str = "",
        maker_options: Mapping[str, Mapping[str, Any]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        resources: Resources | None = None,
    ) -> None:
        self.ffmpeg = find(ffmpeg or None)
        self.encoding_count = 0  # renders whose frames are generated
        self.maker_options = dict(maker_options or {})
        self.identity = _load_identity(dict(provenance or {}))
        self.models = ModelCache(resources)
        self.music_makers: dict[str, registry.MusicMaker] = {}
        self.picture_thread = WorkerThread("frames")
        self.music_thread = WorkerThread("music")
        self.music_batcher = MusicBatcher(
            self.music_thread, self.music_maker, SAMPLE_RATE, self.safe_music_maker
        )

    def music_maker(self, name: str) -> registry.MusicMaker:
        if name not in self.music_makers:
            self.music_makers[name] = registry.load(name, dict(self.maker_options.get(name, {})))
        return self.music_makers[name]

    def safe_music_maker(self, name: str) -> registry.MusicMaker:
        """Replace the maker by one that computes in float32."""
        replaced = self.music_makers.pop(name, None)
        if replaced is not None:
            replaced.close()
        options = {**self.maker_options.get(name, {}), "dtype": SAFE_DTYPE}
        self.music_makers[name] = registry.load(name, options)
        return self.music_makers[name]

    def signer_for(self, order: Order) -> ClipSigner:
        return ClipSigner(order.preset.title.partition(":")[0], self.ffmpeg, self.identity)

    @contextmanager
    def count_encoding(self) -> Iterator[int]:
        """Count this render as encoding; yields how many others are."""
        self.encoding_count += 1
        try:
            yield self.encoding_count - 1
        finally:
            self.encoding_count -= 1

    def close(self) -> None:
        self.picture_thread.close()
        self.music_thread.close()
        self.models.close()
        for maker in self.music_makers.values():
            maker.close()


def _load_identity(provenance: dict[str, str]) -> Identity | None:
    """The operator's certificate, else the one of the data folder, else None."""
    if "chain" in provenance:
        return signing_identity.load_identity(Path(provenance["chain"]), Path(provenance["key"]))
    return (
        signing_identity.load_or_create_identity(Path(provenance["folder"]))
        if "folder" in provenance
        else None
    )


async def render(order: Order, context: RenderContext, on_progress: OnProgress) -> Clip:
    """Render an order to a clip. If it fails or is cancelled, no partial file is left."""
    try:
        make_folder(order.folder)
    except OSError as error:
        raise explain_os_error(error, order.folder, "folder") from error
    request, target = order.request, order.folder / CLIP_FILE
    if request.kind is Kind.MUSIC:
        return await _render_new_music(order, context, on_progress, target)
    signer = context.signer_for(order)
    try:
        frames, music = await _render_picture_and_music(order, context, on_progress)
        if request.kind is Kind.IMAGE:
            return await finish_still(frames, order.folder / STILL_FILE, signer=signer)
        with context.count_encoding() as backlog:
            return await finish_clip(
                frames,
                await _mix_audio(request, frames, music),
                target,
                title=request.prompt,
                signer=signer,
                backlog=backlog,
                on_progress=on_progress,
            )
    finally:
        (order.folder / PREVIEW_FILE).unlink(missing_ok=True)


async def _render_picture_and_music(
    order: Order, context: RenderContext, on_progress: OnProgress
) -> tuple[Frames, Audio | None]:
    """Generate frames and compose music in parallel; if one fails, the other is cancelled."""
    seconds_known: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    picture_task = asyncio.create_task(_generate_frames(order, context, on_progress, seconds_known))
    music_task = asyncio.create_task(_compose_music(order.request, context, on_progress, seconds_known))
    try:
        return await asyncio.gather(picture_task, music_task)
    finally:
        picture_task.cancel()
        music_task.cancel()
        await asyncio.gather(picture_task, music_task, return_exceptions=True)


async def _render_new_music(
    order: Order, context: RenderContext, on_progress: OnProgress, target: Path
) -> Clip:
    request = order.request
    assert request.source is not None
    source = Path(request.source)
    facts = await asyncio.to_thread(clip_from_file, source)
    seconds_known: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    seconds_known.set_result(facts.frames / facts.fps)
    on_progress(Progress(Stage.COMPOSING, 0, 1))
    audio = await _compose_music(request, context, on_progress, seconds_known)
    on_progress(Progress(Stage.ENCODING, 0, facts.frames))
    return await finish_new_music(
        source, audio, target, title=request.prompt, signer=context.signer_for(order)
    )


async def _generate_frames(
    order: Order, context: RenderContext, on_progress: OnProgress, seconds_known: asyncio.Future[float]
) -> Frames:
    """Sets `seconds_known` as soon as the length is known, usually before the first step."""
    request = order.request

    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.GENERATING_FRAMES, done, total))

    def work(on_step: OnStep) -> Frames:
        try:
            pass_failpoint(FailPoint.GENERATE)
            frames = context.models.generate_frames(order.preset, request, on_step)
            pass_failpoint(FailPoint.GENERATED)
        except (ExplainedError, Cancelled):
            raise
        except Exception as error:
            raise PictureFailed(order.preset.name, _reason(error)) from error
        return frames

    async with context.picture_thread.exclusive():
        if request.kind is not Kind.EXTEND:
            seconds_known.set_result(request.seconds)
        stage = Stage.GENERATING_FRAMES if order.preset in context.models else Stage.LOADING
        on_progress(Progress(stage, 0, request.steps))
        frames = await context.picture_thread.run(work, step)
    if request.kind is Kind.EXTEND:
        frames = await asyncio.to_thread(_append_to_source, Path(request.source or ""), frames)
        seconds_known.set_result(frames.seconds)
    if request.kind is not Kind.IMAGE:
        await asyncio.to_thread(preview, frames.pixels, order.folder / PREVIEW_FILE)
    return frames


def _append_to_source(source: Path, frames: Frames) -> Frames:
    """The frames of the source clip followed by the new frames."""
    import numpy as np  # noqa: PLC0415  (heavy)

    before = read_frames(source)
    count, height, width, _ = frames.pixels.shape
    start = fit_frames(before.pixels, len(before.pixels), width, height)
    assert count > frames.overlap
    new = frames.pixels[frames.overlap :]
    audio = _join_audio(source, before.seconds, frames) if frames.audio is not None else None
    return Frames(np.concatenate([start, new]), before.fps, audio)


def _join_audio(source: Path, seconds: float, frames: Frames) -> Audio:
    """The audio of the source clip, or silence, followed by the model's audio."""
    import numpy as np  # noqa: PLC0415  (heavy)

    assert frames.audio is not None
    rate, new = frames.audio.rate, frames.audio.samples
    old = np.zeros((round(seconds * rate), new.shape[1]), np.float32)
    with suppress(AttachmentRefused):
        source_audio = read_sound(source)
        at = np.arange(len(old)) * source_audio.rate / rate
        for channel in range(new.shape[1]):
            samples = source_audio.samples[:, min(channel, source_audio.samples.shape[1] - 1)]
            old[:, channel] = np.interp(at, np.arange(len(samples)), samples)
    return Audio(np.concatenate([old, new[round(frames.overlap / frames.fps * rate) :]]), rate)


async def _compose_music(
    request: Request, context: RenderContext, on_progress: OnProgress, seconds_known: asyncio.Future[float]
) -> Audio | None:
    """Compose music of exactly the frames' length; starts as soon as the length is known."""
    music = request.music
    if music.genre in {NO_MUSIC, NATIVE_AUDIO} or request.kind is Kind.IMAGE:
        return None

    def step(done: int, total: int) -> None:
        on_progress(Progress(Stage.COMPOSING, done, total))

    samples = round(await seconds_known * SAMPLE_RATE)
    try:
        return await context.music_batcher.compose(music, samples, step)
    except (ExplainedError, Cancelled):
        raise
    except Exception as error:
        raise MusicFailed(music.maker, _reason(error)) from error


async def _mix_audio(request: Request, frames: Frames, audio: Audio | None) -> Audio | None:
    """Combine music with the model's audio; the music is ducked while the model's audio is loud."""
    if audio is None:
        return frames.audio if request.music.genre == NATIVE_AUDIO else None
    if frames.audio is None:
        return audio
    from generation.music.common.ducking import mix_with_ducking  # noqa: PLC0415  (heavy)

    return await asyncio.to_thread(mix_with_ducking, frames.audio, audio)


def _reason(error: Exception) -> str:
    """A short description for the log and the database; the traceback has the rest."""
    return f"{type(error).__name__}: {error}"[:500]
