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
        """Replace the published scheduler by one that computes the same without an unmaintained library."""
        from generation.music.common.cosine_scheduler import (  # noqa: PLC0415  (heavy)
            PUBLISHED_CLASS,
            CosineScheduler,
        )

        own = CosineScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
        return (
            {"scheduler": CosineScheduler.from_published(own)}
            if own.get("_class_name") == PUBLISHED_CLASS
            else {}
        )

    def pipeline_arguments(self, music: Music, seconds: float) -> dict[str, Any]:
        return {
            "prompt": music.words,
            "negative_prompt": "low quality, noise, vocals",
            "audio_end_in_s": seconds,
        }
