"""The test card: paints what was asked for, without weights, the same again for the same seed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from generation import Cancelled, Kind, Music, Request
from generation.models.common.registry import Preset, load
from generation.request import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESET = Preset(name="testcard", family="testcard", title="Test card", limits=Limits(width=256, height=144))


def wanted(**changes: object) -> Request:
    plain: dict[str, object] = {
        "prompt": "a fox in the snow",
        "kind": Kind.VIDEO,
        "model": "testcard",
        "width": 256,
        "height": 144,
        "frames": 12,
        "fps": 8.0,
        "seed": 7,
        "steps": 4,
        "guidance": 1.0,
        "music": Music(genre="none", maker="band"),
    }
    return Request(**(plain | changes))  # type: ignore[arg-type]  # typed by name above


def paint(request: Request) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    ticks: list[tuple[int, int]] = []
    frames = load(PRESET).paint(request, lambda done, total: ticks.append((done, total)))
    assert frames.fps == request.fps
    return frames.pixels, ticks


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(256, 144, 12), (144, 256, 1), (128, 128, 3), (1280, 720, 2)]
)
def test_any_size_and_length_is_painted_as_asked(width: int, height: int, frames: int) -> None:
    pixels, _ = paint(wanted(width=width, height=height, frames=frames))
    assert pixels.shape == (frames, height, width, 3)
    assert pixels.dtype == np.uint8


def test_the_same_seed_paints_the_same_and_another_does_not() -> None:
    first, again, other = (paint(wanted(seed=seed))[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_frame_differs_from_the_one_before() -> None:
    pixels, _ = paint(wanted())
    for before, after in pairwise(pixels):
        assert not np.array_equal(before, after)


def test_the_words_of_the_prompt_are_in_the_picture() -> None:
    assert not np.array_equal(paint(wanted())[0], paint(wanted(prompt="a boat"))[0])


def test_a_long_prompt_of_one_word_still_fits() -> None:
    pixels, _ = paint(wanted(prompt="a" * 2000))
    assert (pixels[0, -10:, -20:] == pixels[0, -1, -1]).all()


def test_steps_are_ticks_and_a_tick_may_stop_it() -> None:
    assert paint(wanted(steps=4))[1] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(paint(wanted(steps=30, frames=2))[1]) == 30

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        load(PRESET).paint(wanted(), stop)
