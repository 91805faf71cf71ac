"""An extended clip has sound throughout if its model generates audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generation.clip import Audio, Frames
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.rendering.render import _append_to_source

FPS, RATE = 8.0, 24_000


def random_frames(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("has_sound", [True, False])
async def test_new_sound_starts_where_the_source_clip_ends(tmp_path: Path, *, has_sound: bool) -> None:
    tone = 0.5 * np.sin(np.arange(48_000) / 20)
    music = Audio(np.stack([tone, tone], axis=1).astype(np.float32), 48_000) if has_sound else None
    await mux(Frames(random_frames(8), FPS), music, tmp_path / "one.mp4", ffmpeg=find())
    new = Audio(np.full((2 * RATE, 2), 0.25, np.float32), RATE)
    joined = _append_to_source(tmp_path / "one.mp4", Frames(random_frames(16), FPS, new, overlap=4))
    assert len(joined.pixels) == 8 + 12
    assert joined.audio is not None
    assert len(joined.audio.samples) == round(joined.seconds * RATE)
    old, later = joined.audio.samples[:RATE], joined.audio.samples[RATE:]
    assert bool(np.abs(old).max() > 0.1) is has_sound
    assert np.allclose(later, 0.25)


async def test_no_sound_is_added_for_a_model_without_sound(tmp_path: Path) -> None:
    await mux(Frames(random_frames(8), FPS), None, tmp_path / "one.mp4", ffmpeg=find())
    assert _append_to_source(tmp_path / "one.mp4", Frames(random_frames(16), FPS, overlap=4)).audio is None
