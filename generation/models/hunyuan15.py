"""HunyuanVideo 1.5, from words, or from a picture where the weights are made for it.

Its guidance lives in a guider; it has no step callback, its progress bar serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.errors import NotOffered
from generation.models.common import weights
from generation.models.common.diffusers_pipeline import Diffused, from_folder
from generation.models.common.first_frames import opening
from generation.models.common.lossy import WEIGHTS
from generation.models.common.registry import model

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.request import Request


@model("hunyuan15")
class Hunyuan15(Diffused):
    pipelines: ClassVar = ("HunyuanVideo15Pipeline", "HunyuanVideo15ImageToVideoPipeline")
    lossy: ClassVar = WEIGHTS | {"taylor", "pyramid"}

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        return from_folder(weights.read_index(preset.name, folder)["_class_name"], folder, preset, plan)

    def call(self, request: Request) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
        }
        if "image_encoder" not in self.pipe.components:
            return asked | {"width": request.width, "height": request.height}
        first = opening(request, request.width, request.height)
        if not first:
            raise NotOffered(request.kind.value, self.preset.name)
        return asked | {"image": first[-1]}

    def prepared(self, request: Request) -> Any:
        self.pipe.guider = self.pipe.guider.new(guidance_scale=request.guidance)
        return self.pipe
