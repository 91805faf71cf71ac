"""The noise levels of LTX, as its published scheduler sets them: shifted by the number of tokens.

The condition pipeline of diffusers cannot compute them: it passes no shift to the scheduler.
"""

from __future__ import annotations

from typing import Any

FIRST_TIMESTEP = 1000.0
"""Pure noise, where every schedule starts."""


def shifts_by_size(pipe: Any) -> bool:
    """Whether the pipeline's scheduler needs to know the size of the clip."""
    return bool(pipe.scheduler.config.get("use_dynamic_shifting"))


def shifted_timesteps(pipe: Any, steps: int, frames: int, width: int, height: int) -> list[float]:
    """The timesteps that LTXPipeline uses for a clip of this size."""
    import numpy as np  # noqa: PLC0415  (heavy)
    from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift  # noqa: PLC0415  (heavy)

    if steps == 1:  # the scheduler stretches the levels to its last one: with one level it divides by zero
        return [FIRST_TIMESTEP]
    config = pipe.scheduler.config
    latent_frames = (frames - 1) // pipe.vae_temporal_compression_ratio + 1
    side = pipe.vae_spatial_compression_ratio
    shift = calculate_shift(
        latent_frames * (height // side) * (width // side),
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
    )
    scheduler = type(pipe.scheduler).from_config(config)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift)
    return [float(timestep) for timestep in scheduler.timesteps]


def scheduler_for_given_timesteps(pipe: Any) -> Any:
    """The pipeline's scheduler, but it uses the timesteps that it gets exactly as they are."""
    return type(pipe.scheduler).from_config(
        pipe.scheduler.config, use_dynamic_shifting=False, shift=1.0, shift_terminal=None
    )
