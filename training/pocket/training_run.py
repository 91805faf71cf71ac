"""What the training runs share: random draws by seed and step, checkpoints, a loss log."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seeded_generators(seed: int, step: int, worker: int = 0) -> tuple[Random, torch.Generator]:
    """New generators for each step, so that a resumed run draws the same as an uninterrupted one."""
    key = (seed * 1_000_003 + step) * 64 + worker
    return Random(key), torch.Generator().manual_seed(key)


def rate_factor(step: int, total: int, *, warmup: int, cooldown: int) -> float:
    """Learning-rate factor: rises in `warmup` steps, stays at 1, falls to 0 in the last `cooldown` steps."""
    return min(1.0, (step + 1) / warmup, max(0.0, (total - step) / max(1, cooldown)))


class TrainingSchedule:
    """When a training run ends and how its learning rate falls: by steps, or by minutes if given."""

    def __init__(self, *, steps: int, cooldown: int, warmup: int, minutes: float = 0.0) -> None:
        self._steps, self._cooldown, self._warmup = steps, cooldown, warmup
        self._seconds, self._began = minutes * 60, time.monotonic()

    def finished(self, step: int) -> bool:
        return step >= self._steps or self._fraction_left() <= 0

    def rate_factor(self, step: int) -> float:
        return min(
            self._fraction_left(),
            rate_factor(step, self._steps, warmup=self._warmup, cooldown=self._cooldown),
        )

    def _fraction_left(self) -> float:
        """The remaining share of the minutes; with a time limit the rate falls over the whole run."""
        return 1 - (time.monotonic() - self._began) / self._seconds if self._seconds else 1.0


class Average:
    """Exponential moving average of parameters, over fewer steps at the start."""

    def __init__(self, parameters: Sequence[nn.Parameter], *, longest: float) -> None:
        self._live, self._longest = list(parameters), longest
        self.values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        keep = min(self._longest, 1 - 10 / (step + 20))
        torch._foreach_lerp_(self.values, [p.detach() for p in self._live], 1 - keep)

    @torch.no_grad()
    def swap(self) -> None:
        for live, kept in zip(self._live, self.values, strict=True):
            held = live.detach().clone()
            live.copy_(kept)
            kept.copy_(held)


def save(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None


def log(path: Path, **row: float) -> None:
    with path.open("a") as lines:
        lines.write(json.dumps({k: round(v, 5) for k, v in row.items()}) + "\n")
    print(" ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)


def psnr(found: Tensor, true: Tensor) -> float:
    """Mean PSNR of the clips in decibels, for tensors in [-1, 1]."""
    error = ((found.clamp(-1, 1) - true) / 2).square().flatten(1).mean(1)
    return float((-10 * error.log10()).mean())
