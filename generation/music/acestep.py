"""ACE-Step: whole pieces in a few steps; its licence allows commercial use."""

from __future__ import annotations

from typing import Any

from generation.music.common.diffusers_pipeline import DiffusersMaker
from generation.music.common.registry import music_maker
from generation.request import Music

__all__ = ["AceStep"]


@music_maker("acestep")
class AceStep(DiffusersMaker):
    pipeline_class = "AceStepPipeline"
    half_type = "bfloat16"
    shortest = 10.0

    def pipeline_arguments(self, music: Music, seconds: float) -> dict[str, Any]:
        return {
            "prompt": music.words,
            "lyrics": "[Instrumental]",
            "audio_duration": seconds,
            "bpm": round(music.bpm),
            "guidance_scale": 1.0 if self.pipe.is_turbo else 7.0,
        }
