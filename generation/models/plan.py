"""How a model is held: on which device, how exactly, and how much of it at a time. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.models.preset import Preset


class Keep(StrEnum):
    """In the order of falling speed and falling need of memory; the names are a preset's memory tiers."""

    RESIDENT = "resident"  # all of it on the card
    EIGHT_BIT = "eight_bit"  # all of it, the transformer's weights in eight bits
    OFFLOAD = "offload"  # one component at a time on the card
    GROUP = "group"  # a few layers at a time, fetched ahead of use


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What there is to compute on. `kind` is a torch device."""

    kind: str = "cpu"
    name: str = "CPU"
    total: float = 0.0  # gigabytes
    bfloat16: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the operator allows the planner; 0 and "auto" leave it the choice."""

    device: str = "auto"
    dtype: str = "auto"
    gigabytes: float = 0.0
    lossy: bool = False  # eight-bit weights before offloading
    compile: bool = False
    cache_folder: str = ""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Means:
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    device: str = "cpu"
    dtype: str = "float32"
    keep: Keep = Keep.RESIDENT
    tiling: bool = False
    compile: bool = False
    gigabytes: float = 0.0

    def __str__(self) -> str:
        tiling = ", the picture decoded in tiles" if self.tiling else ""
        return f"{self.keep.value} on {self.device} in {self.dtype}, about {self.gigabytes:g} GB{tiling}"


def plans(preset: Preset, card: Card, means: Means) -> tuple[Plan, ...]:
    """Every way that fits, the fastest first; empty when none does."""
    dtype = _dtype(card, means)
    if card.kind == "cpu":
        whole = preset.memory.get(Keep.RESIDENT, 0.0) * (2 if dtype == "float32" else 1)
        fits = not card.total or whole <= (means.gigabytes or card.total)
        return (Plan(dtype=dtype, gigabytes=whole),) if fits else ()
    room = min(card.total, means.gigabytes or card.total)
    tiers = [keep for keep in Keep if keep in preset.memory] or [Keep.RESIDENT]
    if not means.lossy and Keep.EIGHT_BIT in tiers:
        tiers.remove(Keep.EIGHT_BIT)
    return tuple(
        Plan(
            device=card.kind,
            dtype=dtype,
            keep=keep,
            tiling=keep in {Keep.OFFLOAD, Keep.GROUP},
            compile=means.compile and keep is Keep.RESIDENT,
            gigabytes=preset.memory.get(keep, 0.0),
        )
        for keep in tiers
        if preset.memory.get(keep, 0.0) <= room
    )


def _dtype(card: Card, means: Means) -> str:
    if means.dtype != "auto":
        return means.dtype
    if card.kind == "cpu":
        return "float32"
    return "bfloat16" if card.bfloat16 else "float16"
