"""Rendering with the real test card model, the real band and the real ffmpeg."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from generation import Clip, Kind, Music, Progress, Stage, failpoint
from generation.errors import AttachmentRefused, EncodeFailed, FolderUnwritable, MusicFailed
from generation.failpoint import FailPoint
from generation.media.probe import probe, read_frames
from generation.media.provenance import SignatureStatus, read_recipe, verify
from generation.models.common.preset import read_presets
from generation.order import Order
from generation.progress import PREVIEW_FILE
from generation.rendering.finalize import finish_fitted
from generation.rendering.render import RenderContext, render
from tests.factories import NO_MUSIC, make_order
from tests.fakes.wav_samples import wav_bytes
from tests.faults.matrix import CLIP_FILE_NUMBER
from tests.paths import CONFIG

pytestmark = pytest.mark.slow

PRESET = read_presets(tomllib.loads((CONFIG / "models.toml").read_text()))["testcard"]
BAND_MUSIC = Music(genre="lofi", maker="band", bpm=80, seed=3)


@pytest.fixture
def context() -> Iterator[RenderContext]:
    context = RenderContext(
        maker_options={"band": {"genres": tomllib.loads((CONFIG / "genres.toml").read_text())}}
    )
    yield context
    context.close()


def order(folder: Path, **changes: Any) -> Order:
    small: dict[str, Any] = {"width": 192, "height": 128, "fps": 12.0, "seed": 5, "music": NO_MUSIC}
    return make_order(folder, preset=PRESET, **(small | changes))


def ignore_progress(_: Progress) -> None: ...


def decoded_audio(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)


def partial_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


async def test_a_clip_has_every_frame_and_its_music(context: RenderContext, tmp_path: Path) -> None:
    received: list[Progress] = []
    clip = await render(order(tmp_path / "1", music=BAND_MUSIC), context, received.append)
    facts = probe(clip.path)
    assert (facts.frames, facts.width, facts.height, facts.fps) == (24, 192, 128, 12.0)
    assert clip.audio
    assert facts.audio_seconds == pytest.approx(2.0, abs=0.05)
    assert np.abs(decoded_audio(clip.path)).max() > 0.05
    assert clip.poster is not None
    assert clip.sheet is not None
    assert clip.poster.is_file()
    assert clip.sheet.is_file()
    assert {p.stage for p in received} >= {Stage.GENERATING_FRAMES, Stage.COMPOSING, Stage.ENCODING}
    assert partial_files(tmp_path / "1") == []


async def test_the_preview_exists_until_the_clip_is_finished(context: RenderContext, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def open_preview(progress: Progress) -> None:
        if progress.stage is Stage.ENCODING and not seen:
            with Image.open(tmp_path / PREVIEW_FILE) as picture:
                seen.append(picture.size)

    await render(order(tmp_path), context, open_preview)
    assert seen == [(192, 128)]
    assert not (tmp_path / PREVIEW_FILE).exists()


async def test_files_do_not_contain_the_prompt_by_default(tmp_path: Path) -> None:
    context = RenderContext(provenance={"folder": str(tmp_path)})
    clip = await render(
        order(tmp_path / "1", prompt="Persimmon lanterns above Ulaanbaatar"), context, ignore_progress
    )
    context.close()
    for path in (clip.path, clip.poster, clip.sheet):
        assert path is not None
        data = path.read_bytes().lower()
        assert [word for word in (b"persimmon", b"lanterns", b"ulaanbaatar") if word in data] == []
    assert read_recipe(clip.path) is None


async def test_the_nth_rename_in_the_fault_matrix_is_that_of_the_clip(
    context: RenderContext, tmp_path: Path
) -> None:
    failpoint.arm({failpoint.ENV_VAR: f"{FailPoint.RENAME}=fail@{CLIP_FILE_NUMBER}"})
    try:
        with pytest.raises(EncodeFailed) as caught:
            await render(order(tmp_path), context, ignore_progress)
    finally:
        failpoint.arm({})
    assert caught.value.stage == "encode"


async def test_a_picture_is_a_png(context: RenderContext, tmp_path: Path) -> None:
    clip = await render(
        order(tmp_path, kind=Kind.IMAGE, frames=1, music=BAND_MUSIC), context, ignore_progress
    )
    with Image.open(clip.path) as picture:
        assert (picture.format, picture.size) == ("PNG", (192, 128))
        assert "AI-generated" in picture.info["comment"]
    assert (clip.frames, clip.audio, clip.size) == (1, False, clip.path.stat().st_size)


async def test_new_music_keeps_the_picture_bit_for_bit(context: RenderContext, tmp_path: Path) -> None:
    first = await render(order(tmp_path / "1", music=BAND_MUSIC), context, ignore_progress)
    other = Music(genre="rock", maker="band", bpm=120, seed=4)
    again = order(tmp_path / "2", kind=Kind.MUSIC, source=str(first.path), music=other)
    second = await render(again, context, ignore_progress)
    assert second.frames == first.frames
    assert np.array_equal(read_frames(first.path).pixels, read_frames(second.path).pixels)
    assert not np.array_equal(decoded_audio(first.path), decoded_audio(second.path))
    assert second.poster is not None
    assert second.poster.parent == second.path.parent


async def test_an_extended_clip_starts_with_the_old_one_and_has_music_throughout(
    context: RenderContext, tmp_path: Path
) -> None:
    first = await render(order(tmp_path / "1"), context, ignore_progress)
    more = order(tmp_path / "2", kind=Kind.EXTEND, source=str(first.path), frames=13, music=BAND_MUSIC)
    second = await render(more, context, ignore_progress)
    assert second.frames == 24 + 12
    old, new = (read_frames(clip.path).pixels for clip in (first, second))
    assert np.abs(old.astype(int) - new[:24]).mean() < 3
    assert probe(second.path).audio_seconds == pytest.approx(3.0, abs=0.05)


async def test_an_attached_picture_is_the_first_frame(context: RenderContext, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "#00ff00").save(tmp_path / "in.png")
    clip = await render(
        order(tmp_path / "1", kind=Kind.ANIMATE, image=str(tmp_path / "in.png")), context, ignore_progress
    )
    corner = read_frames(clip.path).pixels[0, 10, 10].astype(int)
    assert corner[1] > 200
    assert corner[0] < 60


async def test_attachments_that_are_not_media_are_refused(context: RenderContext, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_text("no")
    for error, more in (
        (AttachmentRefused, {"kind": Kind.ANIMATE, "image": str(tmp_path / "in.png")}),
        (AttachmentRefused, {"kind": Kind.EXTEND, "source": str(tmp_path / "in.png")}),
        (EncodeFailed, {"kind": Kind.MUSIC, "source": str(tmp_path / "in.png")}),
    ):
        with pytest.raises(error):
            await render(order(tmp_path / "1", **more), context, ignore_progress)


async def test_a_failing_music_maker_stops_frame_generation(context: RenderContext, tmp_path: Path) -> None:
    wrong = Music(genre="lofi", maker="unknown")
    with pytest.raises(MusicFailed):
        await render(order(tmp_path / "1", music=wrong, frames=2000, steps=500), context, ignore_progress)
    assert list((tmp_path / "1").iterdir()) == []


async def test_a_cancelled_render_leaves_no_files(context: RenderContext, tmp_path: Path) -> None:
    for stage in (Stage.GENERATING_FRAMES, Stage.ENCODING):
        reached = asyncio.Event()

        def listen(progress: Progress, stage: Stage = stage, reached: asyncio.Event = reached) -> None:
            if progress.stage is stage and progress.done > 0:
                reached.set()

        task = asyncio.create_task(render(order(tmp_path / stage.value, frames=900), context, listen))
        await asyncio.wait_for(reached.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((tmp_path / stage.value).iterdir()) == []


async def test_an_impossible_folder_raises_folder_unwritable(context: RenderContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnwritable):
        await render(order(tmp_path / "file" / "1"), context, ignore_progress)


async def test_the_same_request_makes_the_same_clip(context: RenderContext, tmp_path: Path) -> None:
    async def render_clip(name: str) -> Clip:
        return await render(order(tmp_path / name, music=BAND_MUSIC), context, ignore_progress)

    first, second = await render_clip("1"), await render_clip("2")
    assert np.array_equal(read_frames(first.path).pixels, read_frames(second.path).pixels)
    assert np.array_equal(decoded_audio(first.path), decoded_audio(second.path))


async def test_every_kind_of_clip_is_signed_also_after_fitting(tmp_path: Path) -> None:
    genres = {"genres": tomllib.loads((CONFIG / "genres.toml").read_text())}
    context = RenderContext(provenance={"folder": str(tmp_path)}, maker_options={"band": genres})
    assert context.identity is not None
    first = await render(order(tmp_path / "clip"), context, ignore_progress)
    source, own = str(first.path), tmp_path / "own.wav"
    Image.new("RGB", (300, 200), "#00ff00").save(tmp_path / "in.png")
    own.write_bytes(wav_bytes())
    routes: dict[str, dict[str, Any]] = {
        "still": {"kind": Kind.IMAGE, "frames": 1},
        "new music": {"kind": Kind.MUSIC, "source": source, "music": BAND_MUSIC},
        "own music": {"music": Music(genre="own", maker="track", track=str(own))},
        "longer": {"kind": Kind.EXTEND, "source": source, "frames": 5},
        "moved": {"kind": Kind.ANIMATE, "image": str(tmp_path / "in.png")},
        "bigger": {"kind": Kind.BIGGER, "source": source, "width": 256, "height": 192},
    }
    clips = {
        name: await render(order(tmp_path / name, **more), context, ignore_progress)
        for name, more in routes.items()
    }
    for name, clip in (clips | {"clip": first}).items():
        report = verify(clip.path, identity=context.identity)
        assert (report.status, report.ours, report.made_by_ai) == (SignatureStatus.VALID, True, True), name
        assert report.model == "Test card"
        assert clip.size == clip.path.stat().st_size
    clip = await render(order(tmp_path / "long", frames=48, width=352, height=256), context, ignore_progress)
    limit = clip.size // 2
    small = await finish_fitted(clip, limit, ffmpeg=context.ffmpeg, identity=context.identity)
    assert small.path != clip.path
    assert small.size == small.path.stat().st_size <= limit
    assert verify(small.path, identity=context.identity).status is SignatureStatus.VALID
    repeated = await finish_fitted(clip, limit, ffmpeg=context.ffmpeg, identity=context.identity)
    assert repeated == small
    context.close()
