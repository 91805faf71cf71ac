"""Models stay while they fit; a lack of memory and a broken picture each get one other try."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from generation.clip import Frames
from generation.errors import BadFrames, OutOfMemory
from generation.models.common.diffusers_pipeline import is_memory
from generation.models.common.frames import fitted, judge, pixels
from generation.models.common.memory_plan import Card
from generation.models.common.model_cache import Residents
from generation.models.common.registry import Plan, Preset, model
from generation.progress import OnStep
from generation.request import Limits, Request
from tests.generation.models.conftest import asked

torch = pytest.importorskip("torch")


class Part:
    """What a model's memory hangs on."""


@model("moody")
class Moody:
    """Fails as its preset's options say: by the way it is held."""

    alive: ClassVar[list[str]] = []
    loaded: ClassVar[list[tuple[str, str, str]]] = []
    kept: ClassVar[list[object]] = []

    def __init__(self, preset: Preset, plan: Plan) -> None:
        self.preset, self.plan = preset, plan

    @classmethod
    def load(cls, preset: Preset, plan: Plan) -> Moody:
        cls.alive.append(preset.name)
        cls.loaded.append((preset.name, plan.keep.value, plan.dtype))
        if plan.keep in preset.options.get("heavy", ()):
            cls.alive.remove(preset.name)
            raise OutOfMemory(preset.name)
        return cls(preset, plan)

    def paint(self, request: Request, on_step: OnStep) -> Frames:
        on_step(1, 1)
        if self.plan.keep in self.preset.options.get("full", ()):
            raise OutOfMemory(self.preset.name)
        if self.plan.dtype in self.preset.options.get("black", ()):
            raise BadFrames(self.preset.name)
        return Frames(np.zeros((1, 8, 8, 3), np.uint8), request.fps)

    def parts(self) -> tuple[object, ...]:
        part = Part()
        if self.preset.options.get("leaks"):
            Moody.kept.append(part)
        return (part,)

    def close(self) -> None:
        self.alive.remove(self.preset.name)


def preset(name: str, *, gigabytes: float = 10, **options: Any) -> Preset:
    memory = {"resident": gigabytes, "offload": gigabytes / 2, "group": gigabytes / 4}
    limits = Limits(width=64, height=64)
    return Preset(
        name=name,
        family="moody",
        title=name,
        source="/nowhere",
        limits=limits,
        memory=memory,
        options=options,
    )


@pytest.fixture
def residents() -> Residents:
    Moody.alive.clear()
    Moody.loaded.clear()
    made = Residents()
    made._card = Card(kind="cuda", name="a card", total=24, bfloat16=True)  # a card that is not here
    return made


def paint(residents: Residents, wanted: Preset) -> None:
    residents.paint(wanted, asked("moody"), lambda *_: None)


def test_what_fits_stays_and_the_longest_unused_goes_first(residents: Residents) -> None:
    one, two, three = (preset(name) for name in ("one", "two", "three"))
    for wanted in (one, two, one, three, one):
        paint(residents, wanted)
    assert Moody.alive == ["one", "three"]
    assert [name for name, _, _ in Moody.loaded] == ["one", "two", "three"]


def test_a_changed_preset_is_loaded_anew(residents: Residents) -> None:
    paint(residents, preset("one"))
    paint(residents, replace(preset("one"), prompt_suffix="film grain"))
    assert len(Moody.loaded) == 2
    assert Moody.alive == ["one"]


def test_out_of_memory_tries_the_next_way_once(residents: Residents) -> None:
    paint(residents, preset("one", full=("resident",)))
    assert [keep for _, keep, _ in Moody.loaded] == ["resident", "offload"]
    with pytest.raises(OutOfMemory):
        paint(residents, preset("two", full=("resident", "offload", "group")))
    assert [keep for name, keep, _ in Moody.loaded if name == "two"] == ["resident", "offload"]


def test_out_of_memory_while_loading_tries_the_next_way_too(residents: Residents) -> None:
    paint(residents, preset("one", heavy=("resident",)))
    assert [keep for _, keep, _ in Moody.loaded] == ["resident", "offload"]
    paint(residents, preset("one", heavy=("resident",)))
    assert len(Moody.loaded) == 2  # it stays as it could be held


def test_a_model_that_does_not_go_away_makes_the_process_tired(residents: Residents) -> None:
    for name in ("one", "two"):
        paint(residents, preset(name, gigabytes=20))
    assert not residents.tired
    paint(residents, preset("three", gigabytes=20, leaks=True))
    paint(residents, preset("four", gigabytes=20))
    assert not residents.tired  # it is seen at the next load
    paint(residents, preset("five", gigabytes=20))
    assert residents.tired


def test_a_processor_that_has_not_so_much_memory_says_so() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_memory(caught.value)
    assert not is_memory(RuntimeError("shapes do not match"))


def test_a_bad_picture_is_painted_again_exactly_and_then_given_up(residents: Residents) -> None:
    paint(residents, preset("one", black=("bfloat16",)))
    assert [dtype for _, _, dtype in Moody.loaded] == ["bfloat16", "float32"]
    with pytest.raises(BadFrames):
        paint(residents, preset("two", black=("bfloat16", "float32")))
    assert Moody.alive == []


def test_closing_closes_all(residents: Residents) -> None:
    for name in ("one", "two"):
        paint(residents, preset(name))
    residents.close()
    assert Moody.alive == []
    assert not residents.tired


def test_a_preset_too_large_for_the_card_is_refused(residents: Residents) -> None:
    with pytest.raises(OutOfMemory):
        paint(residents, preset("huge", gigabytes=400))


# Pictures are judged before and after they become bytes.


def noise(frames: int = 4) -> Any:
    return torch.rand(frames, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_a_bad_frame(bad: float) -> None:
    video = noise()
    video[2, 1, 3, 3] = bad
    with pytest.raises(BadFrames):
        pixels("one", video)


def test_black_and_frozen_clips_are_bad_frames() -> None:
    for video in (torch.zeros(4, 3, 8, 8), noise(1).expand(4, 3, 8, 8)):
        with pytest.raises(BadFrames):
            pixels("one", video)


def test_a_dark_clip_with_a_star_and_a_still_are_good() -> None:
    dark = np.zeros((4, 64, 64, 3), np.uint8)
    dark[1:, 20:24, 20:24] = 255
    judge("one", dark)
    assert pixels("one", noise(1)).shape == (1, 8, 8, 3)


def test_fitting_covers_the_frame_and_keeps_the_ends_in_time() -> None:
    whole = pixels("one", noise(5))
    longer = fitted(whole, 9, 16, 8)
    assert longer.shape == (9, 8, 16, 3)
    assert np.array_equal(longer[0], fitted(whole[:1], 1, 16, 8)[0])
    assert np.array_equal(longer[-1], fitted(whole[-1:], 1, 16, 8)[0])
    assert fitted(whole, 5, 8, 8) is whole
