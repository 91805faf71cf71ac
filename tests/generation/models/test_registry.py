"""Every file of generation/models/ is a family, and plug-ins can register others."""

from __future__ import annotations

import numpy as np
import pytest

from generation.clip import Frames
from generation.errors import ModelBroken
from generation.models.common.registry import (
    MemoryPlan,
    Preset,
    families,
    family_class,
    load,
    picture_model,
)
from generation.progress import OnStep
from generation.request import Limits, Request
from tests.factories import make_preset
from tests.generation.models.conftest import tiny_request

SHIPPED = {
    *("animatediff", "hunyuan15", "image", "kandinsky5", "ltx", "ltx2"),
    *("modelscope", "sana", "testcard", "wan"),
}


@picture_model("plugged_in")
class BlankModel:
    """A family that no file of generation/models/ defines."""

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> BlankModel:
        assert preset.family == "plugged_in"
        assert plan.device == "cpu"
        return cls()

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        on_step(1, 1)
        return Frames(np.zeros((request.frames, request.height, request.width, 3), np.uint8), request.fps)

    def close(self) -> None: ...


def preset(family: str) -> Preset:
    return make_preset(family, limits=Limits(width=32, height=32))


def test_nothing_but_families_is_listed() -> None:
    assert SHIPPED | {"plugged_in"} <= set(families())
    assert {
        name for name in families() if family_class(preset(name)).__module__.startswith("generation.")
    } == (SHIPPED)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_each_shipped_file_registers_a_family_under_its_own_name(name: str) -> None:
    assert family_class(preset(name)).__module__ == f"generation.models.{name}"


def test_a_family_of_a_plug_in_can_be_loaded() -> None:
    frames = load(preset("plugged_in")).generate_frames(tiny_request("x", frames=2), lambda *_: None)
    assert frames.pixels.shape == (2, 32, 32, 3)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ModelBroken, match="no family"):
        load(preset("unknown"))
