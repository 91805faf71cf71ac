"""Options that trade quality for speed or memory, each with its own name; none is on by default."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken
from generation.models.common.preset import MemoryTier

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset

DESCRIPTIONS = {
    "int8": "weights as 8-bit integers",
    "fp8": "weights stored as 8-bit floats",
    "first_block": "a step whose first block hardly changed reuses the rest of the step before",
    "taylor": "two of three steps are extrapolated from earlier ones",
    "pyramid": "attention that changes slowly is computed every second step",
}
QUANTIZATIONS = frozenset({"int8", "fp8"})
STEP_CACHES = frozenset(DESCRIPTIONS.keys() - QUANTIZATIONS)
BLOCK_LIST_NAMES = ("blocks", "transformer_blocks")
TORCHAO_MISSING = "int8 needs torchao: pip install 'matinee[quantized]'"


def active_options(preset: Preset, plan: MemoryPlan) -> tuple[str, ...]:
    """What the preset asks for, and 8-bit weights where the memory plan needs them."""
    asked = tuple(preset.options.get("lossy", ()))
    if plan.tier is not MemoryTier.EIGHT_BIT or QUANTIZATIONS & set(asked):
        return asked
    return ("int8" if has_torchao() else "fp8", *asked)


def has_torchao() -> bool:
    return importlib.util.find_spec("torchao") is not None


def quantize(net: Any, preset: Preset, plan: MemoryPlan) -> None:
    """Store weights in fewer bits; call it before the network is moved to its device."""
    for name in active_options(preset, plan):
        if name in QUANTIZATIONS:
            {"int8": _quantize_int8, "fp8": _quantize_fp8}[name](net, preset, plan)


def enable_step_caches(net: Any, preset: Preset, plan: MemoryPlan) -> None:
    """Enable caches that reuse results of earlier steps."""
    for name in active_options(preset, plan):
        if name in STEP_CACHES:
            settings = dict(preset.options.get("lossy_settings", {}).get(name, {}))
            net.enable_cache(CACHE_CONFIGS[name](net, settings))


def reset_step_caches(net: Any, pipe: Any) -> None:
    """Clear the step caches before `pipe` runs: a run that was cancelled leaves its state in them."""
    if getattr(net, "is_cache_enabled", False):
        net.active_pipeline = pipe
        net._reset_stateful_cache()  # noqa: SLF001  (pipelines call it too, but not after a cancelled run)


def _quantize_int8(net: Any, preset: Preset, _: MemoryPlan) -> None:
    if not has_torchao():
        raise ModelBroken(preset.name, TORCHAO_MISSING)
    import torch  # noqa: PLC0415  (heavy)
    from torchao.quantization import Int8WeightOnlyConfig, quantize_  # noqa: PLC0415  (heavy, and optional)

    def is_wanted(part: Any, name: str) -> bool:
        """Motion layers keep full precision: camera LoRAs are loaded into them."""
        return isinstance(part, torch.nn.Linear) and "motion_modules" not in name

    quantize_(net, Int8WeightOnlyConfig(), filter_fn=is_wanted)


def _quantize_fp8(net: Any, _: Preset, plan: MemoryPlan) -> None:
    """Store in 8-bit floats, compute in the plan's own dtype."""
    import torch  # noqa: PLC0415  (heavy)

    compute = getattr(torch, plan.dtype)
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=compute)


def _first_block_config(_: Any, settings: dict[str, Any]) -> Any:
    from diffusers import FirstBlockCacheConfig  # noqa: PLC0415  (heavy)

    return FirstBlockCacheConfig(**{"threshold": 0.1, **settings})


def _taylor_config(_: Any, settings: dict[str, Any]) -> Any:
    from diffusers import TaylorSeerCacheConfig  # noqa: PLC0415  (heavy)

    return TaylorSeerCacheConfig(**{"cache_interval": 3, "use_lite_mode": True, **settings})


def _pyramid_config(net: Any, settings: dict[str, Any]) -> Any:
    from diffusers import PyramidAttentionBroadcastConfig  # noqa: PLC0415  (heavy)

    usual = {"spatial_attention_block_skip_range": 2, "cross_attention_block_skip_range": 3}
    return PyramidAttentionBroadcastConfig(
        **{**usual, "spatial_attention_block_identifiers": BLOCK_LIST_NAMES, **settings},
        current_timestep_callback=lambda: net.active_pipeline._current_timestep,  # noqa: SLF001  (some pipelines have no public name for it)
    )


CACHE_CONFIGS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "first_block": _first_block_config,
    "taylor": _taylor_config,
    "pyramid": _pyramid_config,
}
