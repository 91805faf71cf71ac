"""Puts a loaded pipeline where its plan says, and switches on what the preset asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generation.models.plan import Keep

if TYPE_CHECKING:
    from generation.models.plan import Plan
    from generation.models.preset import Preset


def place(pipe: Any, preset: Preset, plan: Plan) -> None:
    pipe.set_progress_bar_config(disable=True)
    if plan.tiling:
        _tile(pipe)
    if plan.keep is Keep.EIGHT_BIT:
        _cast_eight_bit(pipe, plan)
    if plan.keep is Keep.OFFLOAD:
        pipe.enable_model_cpu_offload(device=plan.device)
    elif plan.keep is Keep.GROUP:
        _group(pipe, plan)
    else:
        pipe.to(plan.device)
    tune(pipe, preset, plan)


def painter(pipe: Any) -> Any:
    """The network that does the steps, whatever a pipeline calls it."""
    return getattr(pipe, "transformer", None) or pipe.unet


def tune(pipe: Any, preset: Preset, plan: Plan) -> None:
    net = painter(pipe)
    if preset.options.get("attention"):
        net.set_attention_backend(preset.options["attention"])
    if preset.options.get("step_cache"):
        net.enable_cache(_step_cache(preset))
    if plan.compile:
        net.compile_repeated_blocks(fullgraph=True)


def _tile(pipe: Any) -> None:
    vae = getattr(pipe, "vae", None)
    for name in ("enable_tiling", "enable_slicing"):
        switch = getattr(vae, name, None)
        if switch is not None:
            switch()


def _cast_eight_bit(pipe: Any, plan: Plan) -> None:
    """Weights rest in eight bits and are computed with in the plan's own type."""
    import torch  # noqa: PLC0415  (heavy)

    painter(pipe).enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=getattr(torch, plan.dtype)
    )


def _group(pipe: Any, plan: Plan) -> None:
    import torch  # noqa: PLC0415  (heavy)

    pipe.enable_group_offload(
        onload_device=torch.device(plan.device),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=plan.device == "cuda",
    )


def _step_cache(preset: Preset) -> Any:
    """Opt-in and lossy: steps that differ little from the last are taken from it."""
    import diffusers  # noqa: PLC0415  (heavy)

    kinds = {
        "first_block": "FirstBlockCacheConfig",
        "mag": "MagCacheConfig",
        "taylor": "TaylorSeerCacheConfig",
    }
    more = {}
    if "step_cache_threshold" in preset.options:
        more["threshold"] = preset.options["step_cache_threshold"]
    return getattr(diffusers, kinds[preset.options["step_cache"]])(**more)
