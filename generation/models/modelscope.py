"""ModelScope text-to-video and models of its architecture: zeroscope, a converted VideoCrafter2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common.diffusers_pipeline import DiffusersModel
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import denoise_strength, enlarged_frames, with_pipeline_class
from generation.models.common.videocrafter import MARKER_FILE
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request


@picture_model("modelscope")
class ModelScope(DiffusersModel):
    pipeline_classes: ClassVar = ("TextToVideoSDPipeline",)

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        pipe = super().build_pipeline(folder, preset, plan)
        marker = folder / MARKER_FILE
        if marker.is_file():
            from generation.models.common.videocrafter_ddim import ScaledDDIM  # noqa: PLC0415  (heavy)

            scale = json.loads(marker.read_text(encoding="utf-8"))["scale"]
            pipe.scheduler = ScaledDDIM.from_scheduler(pipe.scheduler, **scale)
        return pipe

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        arguments = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        size = (request.frames, request.width, request.height)
        if request.kind is Kind.BIGGER:
            return arguments | {
                "video": enlarged_frames(request, *size),
                "strength": denoise_strength(request.steps),
            }
        return arguments | dict(zip(("num_frames", "width", "height"), size, strict=True))

    def pipeline_for(self, request: Request) -> Any:
        return (
            with_pipeline_class(self.pipe, "VideoToVideoSDPipeline")
            if request.kind is Kind.BIGGER
            else self.pipe
        )
