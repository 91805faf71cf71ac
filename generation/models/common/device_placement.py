"""Place a loaded pipeline as its memory plan says, and enable what the preset asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from generation.models.common import attention, compilation, lossy
from generation.models.common.preset import MemoryTier

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset

log = logging.getLogger(__name__)
HALF_PRECISION = {"bfloat16", "float16"}


def place_pipeline(pipe: Any, preset: Preset, plan: MemoryPlan) -> None:
    pipe.set_progress_bar_config(disable=True)
    lossy.quantize(denoiser(pipe), preset, plan)
    if plan.tiling:
        _enable_tiling(pipe)
    if plan.device == "cuda" and plan.dtype in HALF_PRECISION:
        _use_channels_last(pipe)
    match plan.tier:
        case MemoryTier.OFFLOAD:
            pipe.enable_model_cpu_offload(device=plan.device)
        case MemoryTier.GROUP:
            _enable_group_offload(pipe, plan)
        case MemoryTier.LEAN:
            _place_lean(pipe, plan)
        case _:
            pipe.to(plan.device)
    apply_compute_options(pipe, preset, plan)


def denoiser(pipe: Any) -> Any:
    """The network that computes the steps: a transformer or a UNet."""
    return getattr(pipe, "transformer", None) or pipe.unet


@contextmanager
def denoiser_offloaded(pipe: Any, device: str) -> Iterator[None]:
    """Move the denoiser off the GPU while the text encoders use it, then move it back."""
    denoiser(pipe).to("cpu")
    try:
        yield
    finally:
        for hook in pipe.text_encoder_hooks:
            hook.offload()
        denoiser(pipe).to(device)


def _place_lean(pipe: Any, plan: MemoryPlan) -> None:
    from accelerate import cpu_offload_with_hook  # noqa: PLC0415  (heavy)

    pipe.text_encoder_hooks = []
    for name, part in _modules(pipe).items():
        if name.startswith("text_encoder"):
            pipe.text_encoder_hooks.append(cpu_offload_with_hook(part, plan.device)[1])
        else:
            part.to(plan.device)


def apply_compute_options(pipe: Any, preset: Preset, plan: MemoryPlan) -> None:
    net = denoiser(pipe)
    attention.set_attention(net, preset, plan)
    lossy.enable_step_caches(net, preset, plan)
    if plan.compile:
        compilation.compile_blocks(net, preset, plan)


def _modules(pipe: Any) -> dict[str, Any]:
    import torch  # noqa: PLC0415  (heavy)

    return {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}


def _use_channels_last(pipe: Any) -> None:
    """For 2D convolutions in half precision: the GPU's matrix units are faster in this layout."""
    import torch  # noqa: PLC0415  (heavy)

    for part in (getattr(pipe, "unet", None), getattr(pipe, "vae", None)):
        for weight in part.parameters() if part is not None else ():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _enable_tiling(pipe: Any) -> None:
    vae = getattr(pipe, "vae", None)
    for name in ("enable_tiling", "enable_slicing"):
        switch = getattr(vae, name, None)
        if switch is not None:
            switch()


def _enable_group_offload(pipe: Any, plan: MemoryPlan) -> None:
    import torch  # noqa: PLC0415  (heavy)

    pipe.enable_group_offload(
        onload_device=torch.device(plan.device),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=plan.device == "cuda",
    )
