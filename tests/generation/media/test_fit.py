"""A fitted clip is below the limit, complete and as good as possible; otherwise CannotFit is raised."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.clip import Clip, Frames
from generation.errors import CannotFit, EncodeFailed
from generation.media import provenance
from generation.media.ffmpeg import Ffmpeg
from generation.media.fit import fit
from generation.media.mux import mux
from generation.media.probe import probe
from generation.media.signing_identity import load_or_create_identity
from generation.progress import Progress, Stage
from generation.request import Kind
from tests.factories import make_clip, make_request
from tests.generation.media.conftest import file_names, moving_square, noise

pytestmark = pytest.mark.slow


@pytest.fixture
async def clip(ffmpeg: Ffmpeg, tmp_path: Path) -> Clip:
    rng = np.random.default_rng(5)
    smooth = moving_square(24, 160, 96, 12.0).pixels
    grain = (smooth * 0.8 + rng.normal(20, 14, smooth.shape)).clip(0, 255).astype(np.uint8)
    return await mux(Frames(grain, 12.0), noise(2.0), tmp_path / "clip.mp4", ffmpeg=ffmpeg)


async def test_a_clip_that_is_small_enough_is_not_encoded_again(clip: Clip, ffmpeg: Ffmpeg) -> None:
    assert await fit(clip, clip.size * 2, ffmpeg=ffmpeg) is clip


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
async def test_a_fit_uses_most_of_the_limit_and_keeps_every_frame(
    share: float, clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    limit = int(clip.size * share)
    fitted = await fit(clip, limit, ffmpeg=ffmpeg, identity=load_or_create_identity(tmp_path))
    assert 0.95 * limit <= fitted.size <= limit
    assert fitted.path.stat().st_size == fitted.size
    assert (fitted.frames, fitted.fps, fitted.audio) == (clip.frames, clip.fps, True)
    assert fitted.poster == clip.poster
    assert provenance.verify(fitted.path).status is provenance.SignatureStatus.VALID


async def test_too_few_bytes_reduce_the_size_not_the_frame_rate(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    blocks = rng.integers(0, 256, (16, 24, 32, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    clip = await mux(Frames(blocks, 12.0), None, tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    fitted = await fit(clip, clip.size // 5, ffmpeg=each_ffmpeg)
    assert fitted.width < clip.width
    assert fitted.width / fitted.height == pytest.approx(clip.width / clip.height, rel=0.04)
    assert (fitted.frames, fitted.fps) == (clip.frames, clip.fps)


async def test_cannot_fit_names_the_smallest_limit_and_keeps_the_clip(
    clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    before = file_names(tmp_path)
    with pytest.raises(CannotFit) as caught:
        await fit(clip, 4000, ffmpeg=ffmpeg)
    assert caught.value.limit == 4000
    assert caught.value.floor > 4000
    assert file_names(tmp_path) == before
    assert (await fit(clip, caught.value.floor, ffmpeg=ffmpeg)).size <= caught.value.floor


async def test_two_requests_for_one_limit_encode_once(clip: Clip, ffmpeg: Ffmpeg) -> None:
    limit = clip.size // 2
    first, second = await asyncio.gather(fit(clip, limit, ffmpeg=ffmpeg), fit(clip, limit, ffmpeg=ffmpeg))
    modified = first.path.stat().st_mtime_ns
    third = await fit(clip, limit, ffmpeg=Ffmpeg("/nowhere/ffmpeg", "0", "configured"))
    assert first == second == third
    assert third.path.stat().st_mtime_ns == modified


async def test_a_damaged_earlier_fit_is_encoded_again(clip: Clip, ffmpeg: Ffmpeg) -> None:
    limit = clip.size // 2
    first = await fit(clip, limit, ffmpeg=ffmpeg)
    first.path.write_bytes(first.path.read_bytes()[:-100])
    second = await fit(clip, limit, ffmpeg=ffmpeg)
    assert probe(second.path).frames == clip.frames


async def test_a_truncated_original_raises_and_can_be_retried(clip: Clip, each_ffmpeg: Ffmpeg) -> None:
    data = clip.path.read_bytes()
    clip.path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(EncodeFailed):
        await fit(clip, clip.size // 2, ffmpeg=each_ffmpeg)
    clip.path.write_bytes(data)
    assert (await fit(clip, clip.size // 2, ffmpeg=each_ffmpeg)).size <= clip.size // 2


async def test_progress_grows_to_its_total(clip: Clip, ffmpeg: Ffmpeg) -> None:
    seen: list[Progress] = []
    await fit(clip, clip.size // 2, ffmpeg=ffmpeg, on_progress=seen.append)
    assert {step.stage for step in seen} == {Stage.FITTING}
    assert seen[-1].done == seen[-1].total


async def test_a_cancelled_fit_leaves_only_the_clip(clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    before, started = file_names(tmp_path), asyncio.Event()
    task = asyncio.create_task(fit(clip, clip.size // 2, ffmpeg=ffmpeg, on_progress=lambda _: started.set()))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert file_names(tmp_path) == before


async def test_a_still_becomes_a_signed_jpeg_that_fits(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    grain = np.random.default_rng(2).integers(0, 256, (400, 300, 3), np.uint8)
    Image.fromarray(grain).save(tmp_path / "clip.png")
    path = tmp_path / "clip.png"
    size = path.stat().st_size
    picture = make_clip(
        make_request(kind=Kind.IMAGE, width=300, height=400, frames=1, fps=1.0), path=path, size=size
    )
    provenance.sign_file(picture.path, identity=load_or_create_identity(tmp_path), model="sd")
    fitted = await fit(picture, size // 3, ffmpeg=ffmpeg, identity=load_or_create_identity(tmp_path))
    assert fitted.path.stat().st_size == fitted.size <= size // 3
    assert provenance.verify(fitted.path).model == "sd"
    with Image.open(fitted.path) as small:
        assert small.info["comment"].startswith(b"AI-generated")
    with pytest.raises(CannotFit):
        await fit(picture, 900, ffmpeg=ffmpeg)
