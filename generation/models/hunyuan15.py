"""HunyuanVideo 1.5, from a prompt, or from a picture with image-to-video weights.

Guidance is set through the pipeline's guider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.errors import NotOffered
from generation.models.common import weights
from generation.models.common.diffusers_pipeline import DiffusersModel, load_pipeline
from generation.models.common.first_frames import first_frames
from generation.models.common.lossy import QUANTIZATIONS
from generation.models.common.registry import picture_model

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request


@picture_model("hunyuan15")
class Hunyuan15(DiffusersModel):
    pipeline_classes: ClassVar = ("HunyuanVideo15Pipeline", "HunyuanVideo15ImageToVideoPipeline")
    supported_lossy: ClassVar = QUANTIZATIONS | {"taylor", "pyramid"}

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        return load_pipeline(weights.read_index(preset.name, folder)["_class_name"], folder, preset, plan)

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
        }
        if "image_encoder" not in self.pipe.components:
            return arguments | {"width": request.width, "height": request.height}
        first = first_frames(request, request.width, request.height)
        if not first:
            raise NotOffered(request.kind.value, self.preset.name)
        return arguments | {"image": first[-1]}

    def pipeline_for(self, request: Request) -> Any:
        self.pipe.guider = self.pipe.guider.new(guidance_scale=request.guidance)
        return self.pipe
