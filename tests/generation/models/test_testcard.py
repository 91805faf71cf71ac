"""The test card: generates the requested frames without weights, the same for the same seed."""

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


def make_request(**changes: object) -> Request:
    defaults: dict[str, object] = {
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
    return Request(**(defaults | changes))  # type: ignore[arg-type]  # fields by name


def generate(request: Request) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    ticks: list[tuple[int, int]] = []
    frames = load(PRESET).generate_frames(request, lambda done, total: ticks.append((done, total)))
    assert frames.fps == request.fps
    return frames.pixels, ticks


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(256, 144, 12), (144, 256, 1), (128, 128, 3), (1280, 720, 2)]
)
def test_any_size_and_length_is_generated_as_requested(width: int, height: int, frames: int) -> None:
    pixels, _ = generate(make_request(width=width, height=height, frames=frames))
    assert pixels.shape == (frames, height, width, 3)
    assert pixels.dtype == np.uint8


def test_the_same_seed_gives_the_same_frames_and_another_does_not() -> None:
    first, again, other = (generate(make_request(seed=seed))[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_frame_differs_from_the_one_before() -> None:
    pixels, _ = generate(make_request())
    for before, after in pairwise(pixels):
        assert not np.array_equal(before, after)


def test_the_prompt_is_drawn_in_the_picture() -> None:
    assert not np.array_equal(generate(make_request())[0], generate(make_request(prompt="a boat"))[0])


def test_a_long_prompt_of_one_word_still_fits() -> None:
    pixels, _ = generate(make_request(prompt="a" * 2000))
    assert (pixels[0, -10:, -20:] == pixels[0, -1, -1]).all()


def test_each_step_is_reported_and_may_cancel() -> None:
    assert generate(make_request(steps=4))[1] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(generate(make_request(steps=30, frames=2))[1]) == 30

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        load(PRESET).generate_frames(make_request(), stop)
