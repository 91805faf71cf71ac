"""ModelScope text-to-video and its kin (zeroscope, a converted VideoCrafter2): a UNet over space and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models import model
from generation.models.common.diffused import Diffused

if TYPE_CHECKING:
    from generation.request import Request


@model("modelscope")
class ModelScope(Diffused):
    pipelines: ClassVar = ("TextToVideoSDPipeline",)

    def call(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
