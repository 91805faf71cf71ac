"""The test card: generates the requested frames without weights, the same for the same seed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from generation import Cancelled, Request
from generation.models.common.registry import load
from generation.request import Limits
from tests.factories import NO_MUSIC, make_preset, make_request

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESET = make_preset(limits=Limits(width=256, height=144))


def card_request(**changes: Any) -> Request:
    defaults: dict[str, Any] = {"height": 144, "frames": 12, "fps": 8.0, "music": NO_MUSIC}
    return make_request(**(defaults | changes))


def generate(request: Request) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    ticks: list[tuple[int, int]] = []
    frames = load(PRESET).generate_frames(request, lambda done, total: ticks.append((done, total)))
    assert frames.fps == request.fps
    return frames.pixels, ticks


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(256, 144, 12), (144, 256, 1), (128, 128, 3), (1280, 720, 2)]
)
def test_any_size_and_length_is_generated_as_requested(width: int, height: int, frames: int) -> None:
    pixels, _ = generate(card_request(width=width, height=height, frames=frames))
    assert pixels.shape == (frames, height, width, 3)
    assert pixels.dtype == np.uint8


def test_the_same_seed_gives_the_same_frames_and_another_does_not() -> None:
    first, again, other = (generate(card_request(seed=seed))[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_frame_differs_from_the_one_before() -> None:
    pixels, _ = generate(card_request())
    for before, after in pairwise(pixels):
        assert not np.array_equal(before, after)


def test_the_prompt_is_drawn_in_the_picture() -> None:
    assert not np.array_equal(generate(card_request())[0], generate(card_request(prompt="a boat"))[0])


def test_a_long_prompt_of_one_word_still_fits() -> None:
    pixels, _ = generate(card_request(prompt="a" * 2000))
    assert (pixels[0, -10:, -20:] == pixels[0, -1, -1]).all()


def test_each_step_is_reported_and_may_cancel() -> None:
    assert generate(card_request(steps=4))[1] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(generate(card_request(steps=30, frames=2))[1]) == 30

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        load(PRESET).generate_frames(card_request(), stop)
