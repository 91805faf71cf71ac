"""Wan 2.1 and 2.2, from a prompt, or from a picture with image-to-video weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common import weights
from generation.models.common.diffusers_pipeline import DiffusersModel, load_pipeline
from generation.models.common.first_frames import first_frames
from generation.models.common.lossy import QUANTIZATIONS
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import denoise_strength, enlarged_frames, with_pipeline_class
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request


TEMPORAL_STRIDE = 4


@picture_model("wan")
class Wan(DiffusersModel):
    pipeline_classes: ClassVar = ("WanPipeline", "WanImageToVideoPipeline")
    supported_lossy: ClassVar = QUANTIZATIONS | {"first_block", "taylor", "pyramid"}
    family_options: ClassVar = frozenset({"flow_shift", "max_sequence_length"})

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        class_name = weights.read_index(preset.name, folder)["_class_name"]
        pipe = load_pipeline(class_name, folder, preset, plan)
        if "flow_shift" in preset.options:
            scheduler = pipe.scheduler
            shift = {"flow_shift": preset.options["flow_shift"], "shift": preset.options["flow_shift"]}
            known = {key: value for key, value in shift.items() if key in scheduler.config}
            pipe.scheduler = type(scheduler).from_config(scheduler.config, **known)
        return pipe

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        arguments = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        if "max_sequence_length" in self.preset.options:
            arguments["max_sequence_length"] = self.preset.options["max_sequence_length"]
        if self._uses_video_to_video(request):
            frames = (request.frames - 1) // TEMPORAL_STRIDE * TEMPORAL_STRIDE + 1
            del arguments["num_frames"]
            video = enlarged_frames(request, frames, request.width, request.height)
            return arguments | {"video": video, "strength": denoise_strength(request.steps)}
        first = first_frames(request, request.width, request.height)
        return arguments | ({"image": first[-1]} if first else {})

    def pipeline_for(self, request: Request) -> Any:
        """A model that expands its timesteps (2.2, 5B) accepts a first frame with the same weights."""
        if request.image is None and request.source is None:
            return self.pipe
        if self._uses_video_to_video(request):
            return with_pipeline_class(self.pipe, "WanVideoToVideoPipeline")
        config = {name: self.pipe.config[name] for name in ("boundary_ratio", "expand_timesteps")}
        return with_pipeline_class(self.pipe, "WanImageToVideoPipeline", **config)

    def _uses_video_to_video(self, request: Request) -> bool:
        """Text-only weights accept a whole clip to enlarge, but no first picture."""
        text_only = self.pipe.transformer.config.in_channels == self.pipe.vae.config.z_dim
        return request.kind is Kind.BIGGER and text_only and not self.pipe.config.expand_timesteps
