"""Plan how a model is held in memory: device, dtype and memory tier. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from generation.models.common.preset import MemoryTier, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeDevice:
    """A device to compute on. `kind` is the name of a torch device type."""

    kind: str = "cpu"
    name: str = "CPU"
    total: float = 0.0  # gigabytes
    bfloat16: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The operator's limits for the planner; 0 and "auto" leave the choice to it."""

    device: str = "auto"
    dtype: str = "auto"
    gigabytes: float = 0.0
    lossy: bool = False  # prefer 8-bit weights to offloading parts from the GPU
    compile: bool = False
    cache_folder: str = ""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Resources:
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    device: str = "cpu"
    dtype: str = "float32"
    tier: MemoryTier = MemoryTier.RESIDENT
    tiling: bool = False
    compile: bool = False
    gigabytes: float = 0.0

    def __str__(self) -> str:
        tiling = ", decoded in tiles" if self.tiling else ""
        return f"{self.tier.value} on {self.device} in {self.dtype}, about {self.gigabytes:g} GB{tiling}"


def possible_plans(preset: Preset, device: ComputeDevice, resources: Resources) -> tuple[MemoryPlan, ...]:
    """All plans that fit the device, the fastest first; empty when none fits."""
    dtype = _choose_dtype(device, resources)
    factor = 2 if dtype == "float32" else 1  # the table is for half precision
    needed = {tier: preset.memory.get(tier, 0.0) * factor for tier in MemoryTier}
    if device.kind == "cpu":
        resident = needed[MemoryTier.RESIDENT]
        fits = not device.total or resident <= (resources.gigabytes or device.total)
        return (MemoryPlan(dtype=dtype, gigabytes=resident),) if fits else ()
    available = min(device.total, resources.gigabytes or device.total)
    tiers = [tier for tier in MemoryTier if tier in preset.memory] or [MemoryTier.RESIDENT]
    fitting = [tier for tier in tiers if needed[tier] <= available]
    if not resources.lossy and fitting != [MemoryTier.EIGHT_BIT]:  # it stays when nothing else fits
        fitting = [tier for tier in fitting if tier is not MemoryTier.EIGHT_BIT]
    return tuple(
        MemoryPlan(
            device=device.kind,
            dtype=dtype,
            tier=tier,
            tiling=tier in {MemoryTier.OFFLOAD, MemoryTier.GROUP},
            compile=resources.compile
            and tier in {MemoryTier.RESIDENT, MemoryTier.EIGHT_BIT, MemoryTier.LEAN},
            gigabytes=needed[tier],
        )
        for tier in _drop_dominated_tiers(fitting, needed)
    )


def _drop_dominated_tiers(tiers: list[MemoryTier], needed: dict[MemoryTier, float]) -> Iterator[MemoryTier]:
    """Skip tiers that are slower than another and need no less memory."""
    smallest_so_far = math.inf
    for tier in tiers:
        if needed[tier] < smallest_so_far:
            smallest_so_far = needed[tier]
            yield tier


def _choose_dtype(device: ComputeDevice, resources: Resources) -> str:
    if resources.dtype != "auto":
        return resources.dtype
    if device.kind == "cpu":
        return "float32"
    return "bfloat16" if device.bfloat16 else "float16"
