"""How a model is held: on which device, how exactly, and how much of it at a time. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.models.common.preset import Preset


class Keep(StrEnum):
    """In the order of falling speed and falling need of memory; the names are a preset's memory tiers."""

    RESIDENT = "resident"  # all of it on the card
    LEAN = "lean"  # all but what reads the words, which comes only for new ones
    EIGHT_BIT = "eight_bit"  # all of it, the painter's weights in eight bits
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
    lossy: bool = False  # eight-bit weights before parts of it leave the card
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
    fitting = [keep for keep in tiers if preset.memory.get(keep, 0.0) <= room]
    if not means.lossy and fitting != [Keep.EIGHT_BIT]:  # where nothing else fits it is that or nothing
        fitting = [keep for keep in fitting if keep is not Keep.EIGHT_BIT]
    return tuple(
        Plan(
            device=card.kind,
            dtype=dtype,
            keep=keep,
            tiling=keep in {Keep.OFFLOAD, Keep.GROUP},
            compile=means.compile and keep in {Keep.RESIDENT, Keep.EIGHT_BIT, Keep.LEAN},
            gigabytes=preset.memory.get(keep, 0.0),
        )
        for keep in _falling(fitting, preset)
    )


def _falling(tiers: list[Keep], preset: Preset) -> Iterator[Keep]:
    """A slower way that needs no less is no way."""
    least = math.inf
    for keep in tiers:
        if preset.memory.get(keep, 0.0) < least:
            least = preset.memory.get(keep, 0.0)
            yield keep


def _dtype(card: Card, means: Means) -> str:
    if means.dtype != "auto":
        return means.dtype
    if card.kind == "cpu":
        return "float32"
    return "bfloat16" if card.bfloat16 else "float16"
