"""LTX with its published scheduler, whose noise levels depend on the size of the clip."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from generation import Kind
from generation.clip import Frames
from generation.media.probe import read_frames
from generation.models.common.registry import MemoryPlan, Preset, load
from generation.models.ltx import Ltx
from tests.generation.models.conftest import tiny_request
from tests.generation.models.test_family_contract import write_source_clip

if TYPE_CHECKING:
    import torch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PUBLISHED_SCHEDULER = Path(__file__).parent / "published" / "ltx" / "scheduler" / "scheduler_config.json"
PresetFactory = Callable[[str], Preset]


@pytest.fixture(scope="module")
def published_preset(tiny_preset: PresetFactory, tmp_path_factory: pytest.TempPathFactory) -> Preset:
    """Tiny weights of LTX with the scheduler that Lightricks/LTX-Video publishes."""
    preset, folder = tiny_preset("ltx"), tmp_path_factory.mktemp("published") / "weights"
    shutil.copytree(preset.source, folder)
    shutil.copy(PUBLISHED_SCHEDULER, folder / "scheduler" / "scheduler_config.json")
    assert json.loads(PUBLISHED_SCHEDULER.read_text())["use_dynamic_shifting"]
    return replace(preset, source=str(folder))


@pytest.fixture(scope="module")
def published(published_preset: Preset) -> Iterator[Ltx]:
    model = load(published_preset, MemoryPlan())
    assert isinstance(model, Ltx)
    yield model
    model.close()


def timesteps_of_each_forward(model: Ltx, **changes: object) -> tuple[list[float], Frames]:
    """Generate, and record the highest timestep that the transformer gets at each step."""
    seen: list[float] = []
    hook = model.pipe.transformer.register_forward_pre_hook(
        lambda _, __, arguments: seen.append(float(arguments["timestep"].max())), with_kwargs=True
    )
    try:
        frames = model.generate_frames(tiny_request("ltx", **changes), lambda _done, _total: None)
    finally:
        hook.remove()
    return seen, frames


@pytest.mark.parametrize("kind", [Kind.ANIMATE, Kind.EXTEND])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_first_frame_keeps_the_schedule_of_the_weights(
    published: Ltx, tmp_path: Path, kind: Kind, steps: int
) -> None:
    Image.new("RGB", (32, 32), "#308050").save(tmp_path / "first.png")
    start = (
        {"image": str(tmp_path / "first.png")}
        if kind is Kind.ANIMATE
        else {"source": str(write_source_clip(tmp_path))}
    )
    conditioned, frames = timesteps_of_each_forward(published, kind=kind, steps=steps, frames=17, **start)
    plain, _ = timesteps_of_each_forward(published, steps=steps, frames=17)
    assert conditioned == pytest.approx(plain)
    assert conditioned[0] == pytest.approx(1000.0)
    assert len(conditioned) == steps
    assert frames.pixels.shape == (17, 32, 32, 3)


def test_a_larger_clip_is_denoised_for_longer_at_high_noise(published: Ltx, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "#308050").save(tmp_path / "first.png")
    small, large = (
        timesteps_of_each_forward(
            published,
            kind=Kind.ANIMATE,
            image=str(tmp_path / "first.png"),
            steps=4,
            width=width,
            height=width,
        )[0]
        for width in (32, 128)
    )
    assert small[0] == large[0]
    assert small[1] < large[1]


def test_a_clip_is_regenerated_at_a_larger_size(published: Ltx, tmp_path: Path) -> None:
    source = str(write_source_clip(tmp_path))
    regenerated, frames = timesteps_of_each_forward(
        published, kind=Kind.BIGGER, source=source, steps=5, width=64, height=64
    )
    whole, _ = timesteps_of_each_forward(published, steps=5, width=64, height=64)
    assert regenerated == pytest.approx(whole[-2:])
    assert frames.pixels.shape == (9, 64, 64, 3)


def test_timesteps_of_the_preset_are_used_as_they_are(published_preset: Preset) -> None:
    given = [1000.0, 900.0, 0.03]
    model = load(replace(published_preset, options={"timesteps": given}), MemoryPlan())
    assert isinstance(model, Ltx)
    seen, _ = timesteps_of_each_forward(model, steps=3)
    assert seen == pytest.approx(given)
    model.close()


def test_one_step_starts_from_pure_noise(published: Ltx) -> None:
    seen, frames = timesteps_of_each_forward(published, steps=1)
    assert seen == [1000.0]
    assert len(np.unique(frames.pixels)) > 1


def first_frames_given(model: Ltx, source: Path, frames: int) -> tuple[torch.Tensor, Frames]:
    """Extend a clip; returns the pictures that the VAE encodes as its start, from 0 to 255."""
    seen: list[torch.Tensor] = []
    hook = model.pipe.vae.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        request = tiny_request("ltx", kind=Kind.EXTEND, source=str(source), frames=frames)
        extended = model.generate_frames(request, lambda _done, _total: None)
    finally:
        hook.remove()
    (start,) = seen
    return (start[0].mean(dim=(0, 2, 3)) + 1) * 127.5, extended


@pytest.mark.parametrize(
    ("source_frames", "frames", "used"), [(12, 17, 9), (12, 9, 1), (5, 17, 1), (9, 25, 9)]
)
def test_an_extension_repeats_only_the_frames_that_it_started_from(
    published: Ltx, tmp_path: Path, source_frames: int, frames: int, used: int
) -> None:
    source = write_source_clip(tmp_path, frames=source_frames)
    shown = [float(picture.mean()) for picture in read_frames(source).pixels]
    given, extended = first_frames_given(published, source, frames)
    assert extended.overlap == used
    assert given.tolist() == pytest.approx(shown[-used:], abs=4)
    assert len(extended.pixels) == frames
