"""DDIM as VideoCrafter2 samples: the picture is divided by a scale that falls over the first times."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler


class ScaledDDIM(DDIMScheduler):  # type: ignore[misc]  # diffusers has no types
    scale: torch.Tensor

    @classmethod
    def from_scheduler(cls, other: Any, *, end: float, steps: int) -> ScaledDDIM:
        made: ScaledDDIM = cls.from_config(other.config)
        count = other.config.num_train_timesteps
        made.scale = torch.cat([torch.linspace(1, end, steps), torch.full((count - steps,), end)])
        return made

    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        """The predicted picture enters the next sample by the scale there over the scale here."""
        stepped = super().step(model_output, timestep, sample, **{**more, "return_dict": True})
        previous_timestep = int(timestep) - self.config.num_train_timesteps // self.num_inference_steps
        alpha = self.alphas_cumprod[previous_timestep] if previous_timestep >= 0 else self.final_alpha_cumprod
        ratio = self.scale[max(previous_timestep, 0)] / self.scale[int(timestep)]
        stepped.prev_sample = stepped.prev_sample + alpha**0.5 * (ratio - 1) * stepped.pred_original_sample
        return stepped
