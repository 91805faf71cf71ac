"""The scheduler of Stable Audio Open without torchsde, which diffusers' own class needs to draw its noise."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from diffusers import EDMDPMSolverMultistepScheduler

PUBLISHED_CLASS = "CosineDPMSolverMultistepScheduler"


class CosineScheduler(EDMDPMSolverMultistepScheduler):  # type: ignore[misc]  # diffusers is untyped
    """Computes the steps of `CosineDPMSolverMultistepScheduler`; only where its noise comes from differs.

    That class is a stochastic DPM-Solver++ in the EDM formulation whose timesteps are the angles of a cosine
    schedule. It draws the noise of each step as a Brownian path's change over the step, divided by the square
    root of the step: independent standard normal values, which this class draws from the generator.
    """

    @classmethod
    def from_published(cls, config: dict[str, Any]) -> Self:
        """The scheduler for the config of a `CosineDPMSolverMultistepScheduler`."""
        return cls.from_config({**config, "algorithm_type": "sde-dpmsolver++"})  # type: ignore[no-any-return]  # diffusers is untyped

    def precondition_noise(self, sigma: float | torch.Tensor) -> torch.Tensor:
        """The timestep of a noise level: its angle, as a share of a right angle."""
        return torch.as_tensor(sigma).reshape(-1).atan() / math.pi * 2
