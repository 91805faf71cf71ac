"""The recipe, with the real painter of test cards, the real band and the real ffmpeg."""

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

from generation import Clip, Kind, Music, Progress, Request, Stage, failpoint
from generation.errors import AttachmentRefused, EncodeFailed, FolderUnwritable, ScoreFailed
from generation.failpoint import Place
from generation.media.probe import probe, read_frames
from generation.media.provenance import Mark, read_recipe, verify
from generation.models.common.preset import read_presets
from generation.progress import PREVIEW
from generation.rendering.finalize import finish_smaller
from generation.rendering.render import Kit, Order, render
from tests.fakes.wav_samples import wave_file
from tests.faults.matrix import CLIP
from tests.paths import CONFIG

PRESET = read_presets(tomllib.loads((CONFIG / "models.toml").read_text()))["testcard"]
BAND = Music(genre="lofi", maker="band", bpm=80, seed=3)
SILENCE = Music(genre="none", maker="band")


@pytest.fixture
def kit() -> Iterator[Kit]:
    made = Kit(options={"band": {"genres": tomllib.loads((CONFIG / "genres.toml").read_text())}})
    yield made
    made.close()


def order(folder: Path, **changes: Any) -> Order:
    plain: dict[str, Any] = {
        "prompt": "a fox in the snow",
        "kind": Kind.VIDEO,
        "model": "testcard",
        "width": 192,
        "height": 128,
        "frames": 24,
        "fps": 12.0,
        "seed": 5,
        "steps": 4,
        "guidance": 1.0,
        "music": SILENCE,
    }
    return Order(label="1", request=Request(**(plain | changes)), preset=PRESET, folder=folder)


def quiet(_: Progress) -> None: ...


def sound(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


async def test_a_clip_has_every_frame_and_its_music(kit: Kit, tmp_path: Path) -> None:
    heard: list[Progress] = []
    clip = await render(order(tmp_path / "1", music=BAND), kit, heard.append)
    facts = probe(clip.path)
    assert (facts.frames, facts.width, facts.height, facts.fps) == (24, 192, 128, 12.0)
    assert clip.audio
    assert facts.audio_seconds == pytest.approx(2.0, abs=0.05)
    assert np.abs(sound(clip.path)).max() > 0.05
    assert clip.poster is not None
    assert clip.sheet is not None
    assert clip.poster.is_file()
    assert clip.sheet.is_file()
    assert {p.stage for p in heard} >= {Stage.PAINTING, Stage.SCORING, Stage.ENCODING}
    assert left_over(tmp_path / "1") == []


async def test_a_first_picture_can_be_seen_until_the_clip_is_there(kit: Kit, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def look(progress: Progress) -> None:
        if progress.stage is Stage.ENCODING and not seen:
            with Image.open(tmp_path / PREVIEW) as picture:
                seen.append(picture.size)

    await render(order(tmp_path), kit, look)
    assert seen == [(192, 128)]
    assert not (tmp_path / PREVIEW).exists()


async def test_nothing_of_the_person_is_in_a_file_unasked(tmp_path: Path) -> None:
    kit = Kit(provenance={"folder": str(tmp_path)})
    clip = await render(order(tmp_path / "1", prompt="Persimmon lanterns above Ulaanbaatar"), kit, quiet)
    kit.close()
    for path in (clip.path, clip.poster, clip.sheet):
        assert path is not None
        data = path.read_bytes().lower()
        assert [word for word in (b"persimmon", b"lanterns", b"ulaanbaatar") if word in data] == []
    assert read_recipe(clip.path) is None


async def test_the_clip_is_the_file_that_the_fault_matrix_takes_for_it(kit: Kit, tmp_path: Path) -> None:
    failpoint.arm({failpoint.VARIABLE: f"{Place.SETTLE}=fail@{CLIP}"})
    try:
        with pytest.raises(EncodeFailed) as caught:
            await render(order(tmp_path), kit, quiet)
    finally:
        failpoint.arm({})
    assert caught.value.stage == "encode"


async def test_a_picture_is_a_png(kit: Kit, tmp_path: Path) -> None:
    clip = await render(order(tmp_path, kind=Kind.IMAGE, frames=1, music=BAND), kit, quiet)
    with Image.open(clip.path) as picture:
        assert (picture.format, picture.size) == ("PNG", (192, 128))
        assert "AI-generated" in picture.info["comment"]
    assert (clip.frames, clip.audio, clip.size) == (1, False, clip.path.stat().st_size)


async def test_new_music_keeps_the_picture_bit_for_bit(kit: Kit, tmp_path: Path) -> None:
    first = await render(order(tmp_path / "1", music=BAND), kit, quiet)
    other = Music(genre="rock", maker="band", bpm=120, seed=4)
    again = order(tmp_path / "2", kind=Kind.SCORE, source=str(first.path), music=other)
    second = await render(again, kit, quiet)
    assert second.frames == first.frames
    assert np.array_equal(read_frames(first.path).pixels, read_frames(second.path).pixels)
    assert not np.array_equal(sound(first.path), sound(second.path))
    assert second.poster is not None
    assert second.poster.parent == second.path.parent


async def test_an_extended_clip_is_the_old_one_and_more_with_music_for_all_of_it(
    kit: Kit, tmp_path: Path
) -> None:
    first = await render(order(tmp_path / "1"), kit, quiet)
    more = order(tmp_path / "2", kind=Kind.EXTEND, source=str(first.path), frames=13, music=BAND)
    second = await render(more, kit, quiet)
    assert second.frames == 24 + 12
    old, new = (read_frames(clip.path).pixels for clip in (first, second))
    assert np.abs(old.astype(int) - new[:24]).mean() < 3
    assert probe(second.path).audio_seconds == pytest.approx(3.0, abs=0.05)


async def test_an_attached_picture_is_in_the_clip(kit: Kit, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "#00ff00").save(tmp_path / "in.png")
    clip = await render(order(tmp_path / "1", kind=Kind.ANIMATE, image=str(tmp_path / "in.png")), kit, quiet)
    corner = read_frames(clip.path).pixels[0, 10, 10].astype(int)
    assert corner[1] > 200
    assert corner[0] < 60


async def test_what_is_no_picture_or_no_clip_is_refused(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_text("no")
    for error, more in (
        (AttachmentRefused, {"kind": Kind.ANIMATE, "image": str(tmp_path / "in.png")}),
        (AttachmentRefused, {"kind": Kind.EXTEND, "source": str(tmp_path / "in.png")}),
        (EncodeFailed, {"kind": Kind.SCORE, "source": str(tmp_path / "in.png")}),
    ):
        with pytest.raises(error):
            await render(order(tmp_path / "1", **more), kit, quiet)


async def test_a_failing_music_maker_ends_the_painting_too(kit: Kit, tmp_path: Path) -> None:
    wrong = Music(genre="lofi", maker="nobody")
    with pytest.raises(ScoreFailed):
        await render(order(tmp_path / "1", music=wrong, frames=2000, steps=500), kit, quiet)
    assert list((tmp_path / "1").iterdir()) == []


async def test_a_cancelled_render_leaves_nothing_half_made(kit: Kit, tmp_path: Path) -> None:
    for stage in (Stage.PAINTING, Stage.ENCODING):
        reached = asyncio.Event()

        def listen(progress: Progress, stage: Stage = stage, reached: asyncio.Event = reached) -> None:
            if progress.stage is stage and progress.done > 0:
                reached.set()

        task = asyncio.create_task(render(order(tmp_path / stage.value, frames=900), kit, listen))
        await asyncio.wait_for(reached.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((tmp_path / stage.value).iterdir()) == []


async def test_a_folder_that_cannot_be_is_told(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnwritable):
        await render(order(tmp_path / "file" / "1"), kit, quiet)


async def test_the_same_request_makes_the_same_clip(kit: Kit, tmp_path: Path) -> None:
    async def made(name: str) -> Clip:
        return await render(order(tmp_path / name, music=BAND), kit, quiet)

    first, second = await made("1"), await made("2")
    assert np.array_equal(read_frames(first.path).pixels, read_frames(second.path).pixels)
    assert np.array_equal(sound(first.path), sound(second.path))


async def test_every_route_ends_in_a_signed_file_that_stays_signed_when_made_smaller(tmp_path: Path) -> None:
    genres = {"genres": tomllib.loads((CONFIG / "genres.toml").read_text())}
    kit = Kit(provenance={"folder": str(tmp_path)}, options={"band": genres})
    assert kit.identity is not None
    first = await render(order(tmp_path / "clip"), kit, quiet)
    source, own = str(first.path), tmp_path / "own.wav"
    Image.new("RGB", (300, 200), "#00ff00").save(tmp_path / "in.png")
    own.write_bytes(wave_file())
    routes: dict[str, dict[str, Any]] = {
        "still": {"kind": Kind.IMAGE, "frames": 1},
        "new music": {"kind": Kind.SCORE, "source": source, "music": BAND},
        "own music": {"music": Music(genre="own", maker="track", track=str(own))},
        "longer": {"kind": Kind.EXTEND, "source": source, "frames": 5},
        "moved": {"kind": Kind.ANIMATE, "image": str(tmp_path / "in.png")},
        "bigger": {"kind": Kind.BIGGER, "source": source, "width": 256, "height": 192},
    }
    made = {name: await render(order(tmp_path / name, **more), kit, quiet) for name, more in routes.items()}
    for name, clip in (made | {"clip": first}).items():
        said = verify(clip.path, identity=kit.identity)
        assert (said.mark, said.ours, said.made_by_ai) == (Mark.HOLDS, True, True), name
        assert said.model == "Test card"
        assert clip.size == clip.path.stat().st_size
    clip = await render(order(tmp_path / "long", frames=48, width=352, height=256), kit, quiet)
    limit = clip.size // 2
    small = await finish_smaller(clip, limit, ffmpeg=kit.ffmpeg, identity=kit.identity)
    assert small.path != clip.path
    assert small.size == small.path.stat().st_size <= limit
    assert verify(small.path, identity=kit.identity).mark is Mark.HOLDS
    again = await finish_smaller(clip, limit, ffmpeg=kit.ffmpeg, identity=kit.identity)
    assert again == small
    kit.close()
