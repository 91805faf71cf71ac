"""HunyuanVideo 1.5. Its guidance lives in a guider; it has no step callback, its progress bar serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models import model
from generation.models.common.diffused import Diffused

if TYPE_CHECKING:
    from generation.request import Request


@model("hunyuan15")
class Hunyuan15(Diffused):
    pipelines: ClassVar = ("HunyuanVideo15Pipeline",)

    def call(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
        }

    def prepared(self, request: Request) -> Any:
        self.pipe.guider = self.pipe.guider.new(guidance_scale=request.guidance)
        return self.pipe
