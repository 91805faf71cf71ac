"""Enlarging flat art: nothing is cropped or blended, and edges stay sharp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.models.common.flat_art_upscale import upscale_flat_art

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKY_COLOUR, BALL_COLOUR = (20, 30, 80), (230, 20, 30)


def drawings(count: int = 5) -> NDArray[np.uint8]:
    """A ball that crosses the sky from one side to the other."""
    frames = np.full((count, 16, 16, 3), SKY_COLOUR, np.uint8)
    for number in range(count):
        left = number * 12 // max(1, count - 1)
        frames[number, 6:10, left : left + 4] = BALL_COLOUR
    return frames


def red_pixels(frame: NDArray[np.uint8]) -> int:
    return int((frame[..., 0] > 128).sum())


@pytest.mark.parametrize(("width", "height"), [(128, 128), (224, 128), (128, 224), (130, 74)])
def test_the_whole_ball_stays_in_the_frame_at_any_aspect(width: int, height: int) -> None:
    upscaled = upscale_flat_art(drawings(), 5, width, height)
    assert upscaled.shape == (5, height, width, 3)
    scale = min(width, height) / 16
    for frame in upscaled:
        assert red_pixels(frame) == pytest.approx(16 * scale**2, rel=0.25)


def test_the_padding_continues_the_background_without_the_ball() -> None:
    upscaled = upscale_flat_art(drawings(), 5, 256, 128)
    assert np.abs(upscaled[:, :, :56].astype(int) - SKY_COLOUR).max() < 40
    assert np.abs(upscaled[:, :, -56:].astype(int) - SKY_COLOUR).max() < 40


def test_an_edge_is_as_steep_as_it_was_drawn() -> None:
    row = upscale_flat_art(drawings(), 5, 512, 512)[0, 256, :, 0].astype(int)
    between = (row > SKY_COLOUR[0] + 40) & (row < BALL_COLOUR[0] - 40)
    assert between.sum() < 0.6 * 512 / 16, "the transition must be narrower than one source pixel"


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 40))
def test_every_frame_is_one_of_the_drawings_and_they_keep_their_order(frames: int) -> None:
    upscaled = upscale_flat_art(drawings(), frames, 32, 32)
    each_drawing = upscale_flat_art(drawings(), 5, 32, 32)
    order = [next(k for k, drawn in enumerate(each_drawing) if (frame == drawn).all()) for frame in upscaled]
    assert order == sorted(order)
    if frames >= 5:
        assert set(order) == set(range(5))


def test_a_still_is_the_drawing_in_the_middle() -> None:
    assert (upscale_flat_art(drawings(), 1, 64, 64)[0] == upscale_flat_art(drawings(), 5, 64, 64)[2]).all()
