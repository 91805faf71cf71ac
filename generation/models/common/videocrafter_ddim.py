"""DDIM as VideoCrafter2 uses it: predictions are divided by a scale that falls over the first timesteps."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler


class ScaledDDIM(DDIMScheduler):  # type: ignore[misc]  # diffusers has no types
    scale: torch.Tensor

    @classmethod
    def from_scheduler(cls, other: Any, *, end: float, steps: int) -> ScaledDDIM:
        scheduler: ScaledDDIM = cls.from_config(other.config)
        count = other.config.num_train_timesteps
        scheduler.scale = torch.cat([torch.linspace(1, end, steps), torch.full((count - steps,), end)])
        return scheduler

    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        """Weight the predicted picture in the next sample by the ratio of the two scales."""
        stepped = super().step(model_output, timestep, sample, **{**more, "return_dict": True})
        previous_timestep = int(timestep) - self.config.num_train_timesteps // self.num_inference_steps
        alpha = self.alphas_cumprod[previous_timestep] if previous_timestep >= 0 else self.final_alpha_cumprod
        ratio = self.scale[max(previous_timestep, 0)] / self.scale[int(timestep)]
        stepped.prev_sample = stepped.prev_sample + alpha**0.5 * (ratio - 1) * stepped.pred_original_sample
        return stepped
