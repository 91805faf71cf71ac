"""Small clips, both ffmpeg programs and helpers for media tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from generation.clip import Audio, Frames
from generation.errors import FfmpegMissing
from generation.media import ffmpeg as ffmpegs
from generation.media.ffmpeg import Ffmpeg
from tests.conftest import ORIGINAL_PATH_VARIABLE


@pytest.fixture
def ffmpeg() -> Ffmpeg:
    return ffmpegs.find()


@pytest.fixture(params=["system", "carried"])
def each_ffmpeg(request: pytest.FixtureRequest) -> Ffmpeg:
    """The system's and the bundled ffmpeg; skipped where the system has none."""
    if request.param == "carried":
        return ffmpegs.find(imageio_ffmpeg.get_ffmpeg_exe())
    try:
        return ffmpegs.find(shutil.which("ffmpeg", path=os.environ[ORIGINAL_PATH_VARIABLE]) or "no ffmpeg")
    except FfmpegMissing as error:
        pytest.skip(f"no usable system ffmpeg: {error}")


def moving_square(count: int = 12, width: int = 96, height: int = 64, fps: float = 12.0) -> Frames:
    """A bright square that moves across a gradient: all frames differ."""
    y, x = np.mgrid[0:height, 0:width]
    background = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], -1).astype(np.uint8)
    pixels = np.repeat(background[None], count, axis=0)
    for index in range(count):
        left = index * (width - 16) // max(1, count - 1)
        pixels[index, 8:24, left : left + 16] = (250, 240, 30)
    return Frames(pixels, fps)


def noise(seconds: float, *, level: float = 0.1, rate: int = 32_000, channels: int = 2) -> Audio:
    rng = np.random.default_rng(7)
    samples = rng.normal(0, level, (round(seconds * rate), channels)).clip(-1, 1)
    return Audio(samples.astype(np.float32), rate)


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
