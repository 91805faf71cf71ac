"""ModelScope text-to-video and its kin (zeroscope, a converted VideoCrafter2): a UNet over space and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common.diffusers_pipeline import Diffused
from generation.models.common.registry import model
from generation.models.common.video_upscale import enlarged, sibling, strength
from generation.models.common.videocrafter import MARKER
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.request import Request


@model("modelscope")
class ModelScope(Diffused):
    pipelines: ClassVar = ("TextToVideoSDPipeline",)

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        pipe = super().build(folder, preset, plan)
        marker = folder / MARKER
        if marker.is_file():
            from generation.models.common.videocrafter_ddim import ScaledDDIM  # noqa: PLC0415  (heavy)

            scale = json.loads(marker.read_text(encoding="utf-8"))["scale"]
            pipe.scheduler = ScaledDDIM.made_from(pipe.scheduler, **scale)
        return pipe

    def call(self, request: Request) -> dict[str, Any]:
        asked = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        size = (request.frames, request.width, request.height)
        if request.kind is Kind.BIGGER:
            return asked | {"video": enlarged(request, *size), "strength": strength(request.steps)}
        return asked | dict(zip(("num_frames", "width", "height"), size, strict=True))

    def prepared(self, request: Request) -> Any:
        return sibling(self.pipe, "VideoToVideoSDPipeline") if request.kind is Kind.BIGGER else self.pipe
