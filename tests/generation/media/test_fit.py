"""A clip goes under any limit that leaves it watchable, with every frame, and says so where none does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generation.clip import Clip, Frames, Score
from generation.errors import CannotFit
from generation.media.ffmpeg import Ffmpeg
from generation.media.fit import MARGIN, fit
from generation.media.mux import mux
from generation.media.probe import probe


@pytest.fixture
async def grainy(ffmpeg: Ffmpeg, tmp_path: Path) -> Clip:
    """Noise is the hardest thing to make small."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (48, 128, 192, 3), dtype=np.uint8)
    samples = rng.normal(0, 0.1, (96_000, 2)).astype(np.float32)
    return await mux(
        Frames(pixels, 24.0), Score(samples, 48_000), tmp_path / "clip.mp4", ffmpeg=ffmpeg, preset="superfast"
    )


async def test_a_clip_that_fits_is_left_as_it_is(grainy: Clip, ffmpeg: Ffmpeg) -> None:
    assert await fit(grainy, grainy.size * 2, ffmpeg=ffmpeg) is grainy


@pytest.mark.parametrize("share", [0.7, 0.3, 0.1])
async def test_it_goes_under_the_limit_with_every_frame(grainy: Clip, ffmpeg: Ffmpeg, share: float) -> None:
    limit = int(grainy.size * share)
    smaller = await fit(grainy, limit, ffmpeg=ffmpeg)
    facts = probe(smaller.path)
    assert facts.size <= limit * MARGIN
    assert facts.frames == grainy.frames
    assert facts.audio
    assert abs(facts.seconds - facts.audio_seconds) <= 1 / grainy.fps
    assert (smaller.poster, smaller.sheet) == (grainy.poster, grainy.sheet)
    assert await fit(grainy, limit, ffmpeg=ffmpeg) == smaller


async def test_a_limit_too_small_for_any_clip_says_what_would_do(grainy: Clip, ffmpeg: Ffmpeg) -> None:
    with pytest.raises(CannotFit) as caught:
        await fit(grainy, 3000, ffmpeg=ffmpeg)
    smaller = await fit(grainy, caught.value.floor, ffmpeg=ffmpeg)
    assert smaller.size <= caught.value.floor


async def test_nothing_is_left_beside_the_clips(grainy: Clip, ffmpeg: Ffmpeg) -> None:
    before = {path.name for path in grainy.path.parent.iterdir()}
    limit = grainy.size // 2
    await fit(grainy, limit, ffmpeg=ffmpeg)
    after = {path.name for path in grainy.path.parent.iterdir()}
    assert after - before == {f"clip-{limit}.mp4"}
