"""The optional look at a clip's frames: the real detector, in its own process, where it is installed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002  (an annotation, where ours are all imported)
from PIL import Image

from generation.clip import Frames, Score
from generation.media import nsfw
from generation.media.ffmpeg import Ffmpeg
from generation.media.mux import mux
from generation.media.nsfw import Sighting, sighting
from generation.media.nsfw_process import Blind, Eye
from tests.generation.media.conftest import moving

COLLINS = Path(__file__).parent / "pictures" / "collins.jpg"
FACES = ("FACE_FEMALE", "FACE_MALE")
with_detector = pytest.mark.skipif(not nsfw.available(), reason="the safety extra is not installed")


def test_the_surest_explicit_thing_counts_and_nothing_else() -> None:
    found = [
        {"class": "FACE_FEMALE", "score": 0.99},
        {"class": "BUTTOCKS_EXPOSED", "score": 0.4},
        {"class": "FEMALE_BREAST_EXPOSED", "score": 0.7},
    ]
    assert sighting(found, 3) == Sighting("FEMALE_BREAST_EXPOSED", 0.7, 3)
    assert sighting(found[:1], 3) == Sighting(frame=3)
    assert sighting(found[:1], 3, FACES) == Sighting("FACE_FEMALE", 0.99, 3)


@pytest.fixture
async def eye() -> AsyncIterator[Eye]:
    eye = Eye(wanted=FACES)
    yield eye
    await eye.close()


async def a_clip(folder: Path, pixels: NDArray[np.uint8], ffmpeg: Ffmpeg) -> Path:
    silence = Score(np.zeros((48_000, 2), np.float32), 48_000)
    done = await mux(Frames(pixels, 12.0), silence, folder / "clip.mp4", ffmpeg=ffmpeg)
    return done.path


@with_detector
async def test_what_is_looked_for_is_seen_in_a_clip_and_in_a_picture(
    eye: Eye, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    face = np.asarray(Image.open(COLLINS).convert("RGB"))
    pixels = np.repeat(moving(12, 256, 256).pixels[:1], 12, axis=0)
    pixels[7:] = face
    seen = await eye.look(await a_clip(tmp_path, pixels, ffmpeg))
    assert seen.what == "FACE_FEMALE"
    assert seen.certainty > 0.5
    assert seen.frame >= 7
    assert (await eye.look(COLLINS)).certainty > 0.5


@with_detector
async def test_a_harmless_clip_is_seen_as_harmless(eye: Eye, tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    pixels = moving(12, 256, 256).pixels
    assert (await eye.look(await a_clip(tmp_path, pixels, ffmpeg))).certainty == 0
    strict = Eye()
    assert (await strict.look(COLLINS)) == Sighting()
    await strict.close()


async def test_what_cannot_be_read_is_told_and_the_next_one_is_looked_at(eye: Eye, tmp_path: Path) -> None:
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"no clip at all")
    for path in (broken, tmp_path / "nowhere.mp4"):
        with pytest.raises(Blind):
            await eye.look(path)
    assert eye.pid is not None


async def test_an_eye_that_dies_or_hangs_opens_again() -> None:
    """The program here answers its first question of a life, dies at "die" and sleeps at "hang"."""
    program = (
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    path = json.loads(line)['path']\n"
        "    if 'die' in path: sys.exit(1)\n"
        "    if 'hang' in path: time.sleep(600)\n"
        "    print(json.dumps({'what': path, 'certainty': 1.0, 'frame': 0}), flush=True)\n"
    )
    for bad, patience in (("die", 60.0), ("hang", 5.0)):
        eye = Eye(command=(sys.executable, "-c", program), patience=patience)
        with pytest.raises(Blind):
            await eye.look(Path(bad))
        assert (await eye.look(Path("fine"))).what == "fine"
        await eye.close()
        assert eye.pid is None


async def test_the_eye_closes_when_whoever_asked_is_gone() -> None:
    """However its owner ended, its end of the pipe closes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "generation.media.nsfw_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(30):
        assert await process.wait() == 0
