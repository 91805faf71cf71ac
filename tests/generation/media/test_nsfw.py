"""Optional NSFW detection with the real detector, if installed, in its own process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002  (only an annotation)
from PIL import Image

from generation.clip import Audio, Frames
from generation.media import nsfw
from generation.media.ffmpeg import Ffmpeg
from generation.media.mux import mux
from generation.media.nsfw import Detection, best_detection
from generation.media.nsfw_process import InspectionFailed, NsfwProcess
from tests.generation.media.conftest import moving_square

pytestmark = pytest.mark.slow

FACE_PHOTO = Path(__file__).parent / "pictures" / "collins.jpg"
FACES = ("FACE_FEMALE", "FACE_MALE")
with_detector = pytest.mark.skipif(not nsfw.available(), reason="the safety extra is not installed")


def test_the_most_confident_matching_detection_counts() -> None:
    found = [
        {"class": "FACE_FEMALE", "score": 0.99},
        {"class": "BUTTOCKS_EXPOSED", "score": 0.4},
        {"class": "FEMALE_BREAST_EXPOSED", "score": 0.7},
    ]
    assert best_detection(found, 3) == Detection("FEMALE_BREAST_EXPOSED", 0.7, 3)
    assert best_detection(found[:1], 3) == Detection(frame=3)
    assert best_detection(found[:1], 3, FACES) == Detection("FACE_FEMALE", 0.99, 3)


@pytest.fixture
async def nsfw_process() -> AsyncIterator[NsfwProcess]:
    process = NsfwProcess(labels=FACES)
    yield process
    await process.close()


async def make_clip(folder: Path, pixels: NDArray[np.uint8], ffmpeg: Ffmpeg) -> Path:
    silence = Audio(np.zeros((48_000, 2), np.float32), 48_000)
    clip = await mux(Frames(pixels, 12.0), silence, folder / "clip.mp4", ffmpeg=ffmpeg)
    return clip.path


@with_detector
async def test_wanted_labels_are_detected_in_clips_and_pictures(
    nsfw_process: NsfwProcess, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    face = np.asarray(Image.open(FACE_PHOTO).convert("RGB"))
    pixels = np.repeat(moving_square(12, 256, 256).pixels[:1], 12, axis=0)
    pixels[7:] = face
    detection = await nsfw_process.inspect(await make_clip(tmp_path, pixels, ffmpeg))
    assert detection.label == "FACE_FEMALE"
    assert detection.certainty > 0.5
    assert detection.frame >= 7
    assert (await nsfw_process.inspect(FACE_PHOTO)).certainty > 0.5


@with_detector
async def test_a_harmless_clip_has_no_detection(
    nsfw_process: NsfwProcess, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    pixels = moving_square(12, 256, 256).pixels
    assert (await nsfw_process.inspect(await make_clip(tmp_path, pixels, ffmpeg))).certainty == 0
    strict = NsfwProcess()
    assert (await strict.inspect(FACE_PHOTO)) == Detection()
    await strict.close()


async def test_an_unreadable_file_raises_and_the_next_is_inspected(
    nsfw_process: NsfwProcess, tmp_path: Path
) -> None:
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"not a clip")
    for path in (broken, tmp_path / "nowhere.mp4"):
        with pytest.raises(InspectionFailed):
            await nsfw_process.inspect(path)
    assert nsfw_process.pid is not None


async def test_a_dead_or_hanging_nsfw_process_is_restarted() -> None:
    """This program answers questions, but exits at "die" and sleeps at "hang"."""
    program = (
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    path = json.loads(line)['path']\n"
        "    if 'die' in path: sys.exit(1)\n"
        "    if 'hang' in path: time.sleep(600)\n"
        "    print(json.dumps({'label': path, 'certainty': 1.0, 'frame': 0}), flush=True)\n"
    )
    for action, timeout in (("die", 60.0), ("hang", 5.0)):
        process = NsfwProcess(command=(sys.executable, "-c", program), timeout=timeout)
        with pytest.raises(InspectionFailed):
            await process.inspect(Path(action))
        assert (await process.inspect(Path("fine"))).label == "fine"
        await process.close()
        assert process.pid is None


async def test_the_nsfw_process_exits_when_its_parent_is_gone() -> None:
    """However the parent ends, its end of the pipe closes."""
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
