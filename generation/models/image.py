"""Still pictures for /image: Stable Diffusion 1.5 and XL, and whatever else is a text-to-image pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.clip import Frames
from generation.models.common import weights
from generation.models.common.diffusers_pipeline import Diffused, from_folder
from generation.models.common.frames import pixels
from generation.models.common.registry import model

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.request import Request


@model("image")
class Still(Diffused):
    pipelines: ClassVar = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "ZImagePipeline")

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        named = weights.read_index(preset.name, folder)["_class_name"]
        parts = {"safety_checker": None, "feature_extractor": None} if named == cls.pipelines[0] else {}
        return from_folder(named, folder, preset, plan, **parts)

    def call(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }

    def frames(self, output: Any, request: Request) -> Frames:
        return Frames(pixels(self.preset.name, output.images), request.fps)
