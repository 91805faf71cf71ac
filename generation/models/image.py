"""Still pictures for /image: Stable Diffusion 1.5 and XL, and Z-Image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.clip import Frames
from generation.models.common import weights
from generation.models.common.diffusers_pipeline import DiffusersModel, load_pipeline
from generation.models.common.frames import to_uint8_frames
from generation.models.common.registry import picture_model

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request


@picture_model("image")
class StillImage(DiffusersModel):
    pipeline_classes: ClassVar = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "ZImagePipeline")

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        class_name = weights.read_index(preset.name, folder)["_class_name"]
        parts = (
            {"safety_checker": None, "feature_extractor": None}
            if class_name == cls.pipeline_classes[0]
            else {}
        )
        return load_pipeline(class_name, folder, preset, plan, **parts)

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }

    def frames_from_output(self, output: Any, request: Request) -> Frames:
        return Frames(to_uint8_frames(self.preset.name, output.images), request.fps)
