"""Lossy options: each changes the frames little, and is refused where it is not supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generation import Cancelled
from generation.errors import ModelBroken, PresetBroken
from generation.models.common import attention
from generation.models.common.device_placement import denoiser
from generation.models.common.lossy import (
    DESCRIPTIONS,
    QUANTIZATIONS,
    STEP_CACHES,
    active_options,
    has_torchao,
)
from generation.models.common.preset import MemoryTier
from generation.models.common.registry import MemoryPlan, Preset, check_preset, load, lossy_options
from tests.generation.models.conftest import tiny_request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]
PresetFactory = Callable[[str], Preset]
STEPS = 6
STEP_CACHE_CASES = [("ltx", name) for name in sorted(STEP_CACHES)] + [
    ("wan", "first_block"),
    ("wan", "pyramid"),
    ("ltx2", "taylor"),
    ("hunyuan15", "taylor"),
    ("hunyuan15", "pyramid"),
]


def ignore_progress(_: int, __: int) -> None: ...


def with_lossy_options(preset: Preset, *names: str, **settings: Any) -> Preset:
    options = {**preset.options, "lossy": list(names), "lossy_settings": settings}
    return replace(preset, options=options)


def rendered_pixels(model: Any, family: str, **changes: Any) -> Any:
    return model.generate_frames(tiny_request(family, steps=STEPS, **changes), ignore_progress).pixels.astype(
        int
    )


@pytest.mark.parametrize(("family", "name"), STEP_CACHE_CASES)
def test_a_step_cache_changes_frames_little_and_a_cancelled_clip_leaves_no_trace(
    family: str, name: str, tiny_preset: PresetFactory
) -> None:
    plain = load(tiny_preset(family), MemoryPlan())
    exact = rendered_pixels(plain, family)
    plain.close()
    settings = {"first_block": {"threshold": 10.0}} if name == "first_block" else {}
    held = load(with_lossy_options(tiny_preset(family), name, **settings), MemoryPlan())
    cached = rendered_pixels(held, family)
    assert 0 < np.abs(cached - exact).mean() < 16

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        held.generate_frames(tiny_request(family, steps=STEPS, seed=77), stop)
    assert np.array_equal(cached, rendered_pixels(held, family))
    held.close()


@pytest.mark.skipif(not has_torchao(), reason="torchao is not installed")
@pytest.mark.parametrize("family", ["ltx", "modelscope", "animatediff"])
def test_int8_weights_take_less_memory_and_change_frames_little(
    family: str, tiny_preset: PresetFactory
) -> None:
    plain, small = (
        load(preset, MemoryPlan())
        for preset in (tiny_preset(family), with_lossy_options(tiny_preset(family), "int8"))
    )
    assert weight_bytes(small) < 0.9 * weight_bytes(plain)
    assert np.abs(rendered_pixels(plain, family) - rendered_pixels(small, family)).mean() < 16
    plain.close()
    small.close()


def test_fp8_weights_take_a_quarter_of_the_memory(tiny_preset: PresetFactory) -> None:
    held = load(with_lossy_options(tiny_preset("ltx"), "fp8"), MemoryPlan())
    kinds = {parameter.dtype for parameter in denoiser_of(held).parameters()}
    assert torch.float8_e4m3fn in kinds
    assert rendered_pixels(held, "ltx").shape == (9, 32, 32, 3)
    held.close()


def test_the_planner_quantizes_with_the_installed_library(tiny_preset: PresetFactory) -> None:
    plan = MemoryPlan(tier=MemoryTier.EIGHT_BIT)
    assert active_options(tiny_preset("ltx"), plan) == ("int8" if has_torchao() else "fp8",)
    assert active_options(with_lossy_options(tiny_preset("ltx"), "fp8", "taylor"), plan) == ("fp8", "taylor")
    assert active_options(tiny_preset("ltx"), MemoryPlan()) == ()
    held = load(tiny_preset("ltx"), plan)
    assert rendered_pixels(held, "ltx").shape == (9, 32, 32, 3)
    held.close()


def test_an_unsupported_lossy_option_is_named_at_start(tiny_preset: PresetFactory) -> None:
    with pytest.raises(PresetBroken) as caught:
        check_preset(with_lossy_options(tiny_preset("ltx"), "frist_block"))
    assert (caught.value.place, caught.value.near) == ("tiny-ltx.options.lossy", "first_block")
    with pytest.raises(PresetBroken):
        check_preset(with_lossy_options(tiny_preset("sana"), "taylor"))
    check_preset(with_lossy_options(tiny_preset("wan"), "int8", "pyramid"))


def test_every_lossy_option_has_a_description_and_every_family_lists_its_own(
    tiny_preset: PresetFactory,
) -> None:
    for family in ("ltx", "ltx2", "wan", "sana", "modelscope", "image"):
        assert set(lossy_options(tiny_preset(family))) <= DESCRIPTIONS.keys()
        assert set(lossy_options(tiny_preset(family))) >= QUANTIZATIONS


def test_a_lean_model_gives_the_same_frames_and_encodes_only_new_prompts(tiny_preset: PresetFactory) -> None:
    held: list[Any] = [
        load(tiny_preset("ltx"), MemoryPlan(tier=tier)) for tier in (MemoryTier.RESIDENT, MemoryTier.LEAN)
    ]
    whole, lean = held
    assert isinstance(lean.pipe.text_encoder_hooks, list)
    assert len(lean.pipe.text_encoder_hooks) == 1
    moves: list[torch.device | str] = []
    net = denoiser_of(lean)
    original_to = net.to

    def record_move(where: torch.device | str) -> Any:
        moves.append(where)
        return original_to(where)

    net.to = record_move
    assert np.array_equal(rendered_pixels(whole, "ltx"), rendered_pixels(lean, "ltx"))
    assert len(moves) == 2  # off the device, and back
    rendered_pixels(lean, "ltx", seed=12)
    assert len(moves) == 2
    whole.close()
    lean.close()


@pytest.mark.parametrize("tier", [MemoryTier.OFFLOAD, MemoryTier.GROUP])
def test_a_model_whose_parts_are_moved_while_it_runs_gives_the_same_frames(
    tier: MemoryTier, tiny_preset: PresetFactory
) -> None:
    whole = load(tiny_preset("ltx"), MemoryPlan())
    moved = load(tiny_preset("ltx"), MemoryPlan(tier=tier, tiling=True))
    assert np.array_equal(rendered_pixels(whole, "ltx"), rendered_pixels(moved, "ltx"))
    whole.close()
    moved.close()


def test_the_attention_of_one_preset_changes_neither_other_presets_nor_the_process(
    tiny_preset: PresetFactory, tmp_path: Path
) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry  # noqa: PLC0415  (imports torch)

    assert tmp_path.is_dir()
    preset = tiny_preset("ltx")
    held = load(replace(preset, options={**preset.options, "attention": "flex"}), MemoryPlan())
    chosen = {getattr(net.processor, "_attention_backend", None) for net in attention_layers(held)}
    assert {str(getattr(backend, "value", backend)) for backend in chosen} == {"flex"}
    assert str(getattr(_AttentionBackendRegistry._active_backend, "value", "")) == "native"
    plain = load(preset, MemoryPlan())
    assert {getattr(net.processor, "_attention_backend", None) for net in attention_layers(plain)} == {None}
    held.close()
    plain.close()


def attention_layers(model: Any) -> list[Any]:
    return [part for part in model.pipe.transformer.modules() if hasattr(part, "processor")]


@pytest.mark.parametrize("name", ["_native_cudnn", "_native_math", "_native_flash"])
def test_attention_that_switches_kernels_for_the_whole_process_is_refused(
    name: str, tiny_preset: PresetFactory
) -> None:
    preset = tiny_preset("ltx")
    with pytest.raises(ModelBroken, match="would disturb music"):
        load(replace(preset, options={**preset.options, "attention": name}), MemoryPlan())


def test_trying_kernels_of_cudnn_leaves_the_choice_of_kernels_as_it_was() -> None:
    before = torch._C._get_cudnn_sdp_enabled(), torch._C._get_sdp_priority_order()
    with attention._kernels_with_cudnn_first():
        assert torch._C._get_sdp_priority_order() != before[1]
    assert (torch._C._get_cudnn_sdp_enabled(), torch._C._get_sdp_priority_order()) == before
    assert attention.time_attention("cpu", "float32", (1, 2, 16, 8)) > 0


def denoiser_of(model: Any) -> Any:
    return denoiser(model.pipe)


def weight_bytes(model: Any) -> int:
    """Size in bytes, also of weights that consist of several tensors."""
    return sum(map(tensor_bytes, denoiser_of(model).parameters()))


def tensor_bytes(tensor: Any) -> int:
    if type(tensor) in {torch.Tensor, torch.nn.Parameter}:
        return int(tensor.numel() * tensor.element_size())
    return sum(tensor_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
