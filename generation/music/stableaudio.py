"""Stable Audio Open: up to 47 seconds from a prompt; longer music is looped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generation.music.common.diffusers_pipeline import DiffusersMaker
from generation.music.common.registry import music_maker
from generation.request import Music

__all__ = ["StableAudio"]


@music_maker("stableaudio")
class StableAudio(DiffusersMaker):
    pipeline_class = "StableAudioPipeline"

    def __init__(self, pipe: Any, options: dict[str, Any]) -> None:
        super().__init__(pipe, options)
        most = pipe.transformer.config.sample_size * pipe.vae.hop_length / self.rate
        self.longest = min(47.0, float(most))  # type: ignore[misc]  # the weights set the limit

    @classmethod
    def component_overrides(cls, folder: Path) -> dict[str, Any]:
        """Replace the solver: the folder's own needs another library to draw noise, this one draws none."""
        from diffusers import EDMDPMSolverMultistepScheduler  # noqa: PLC0415  (heavy)

        own = EDMDPMSolverMultistepScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
        return {"scheduler": EDMDPMSolverMultistepScheduler.from_config(own)}

    def pipeline_arguments(self, music: Music, seconds: float) -> dict[str, Any]:
        return {
            "prompt": music.words,
            "negative_prompt": "low quality, noise, vocals",
            "audio_end_in_s": seconds,
        }
