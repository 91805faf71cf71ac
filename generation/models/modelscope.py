"""ModelScope text-to-video and its kin (zeroscope, a converted VideoCrafter2): a UNet over space and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from generation.models import model
from generation.models.common.diffused import Diffused
from generation.models.common.videocrafter import MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.plan import Plan
    from generation.models.preset import Preset
    from generation.request import Request


@model("modelscope")
class ModelScope(Diffused):
    pipelines: ClassVar = ("TextToVideoSDPipeline",)

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        pipe = super().build(folder, preset, plan)
        marker = folder / MARKER
        if marker.is_file():
            from generation.models.common.scaled import ScaledDDIM  # noqa: PLC0415  (heavy)

            scale = json.loads(marker.read_text(encoding="utf-8"))["scale"]
            pipe.scheduler = ScaledDDIM.made_from(pipe.scheduler, **scale)
        return pipe

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
