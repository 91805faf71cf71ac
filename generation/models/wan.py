"""Wan 2.1 and 2.2, from words, or from a picture where the weights are made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common import weights
from generation.models.common.diffusers_pipeline import Diffused, from_folder
from generation.models.common.first_frames import opening
from generation.models.common.lossy import WEIGHTS
from generation.models.common.registry import model
from generation.models.common.video_upscale import enlarged, sibling, strength
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.request import Request


GRID = 4


@model("wan")
class Wan(Diffused):
    pipelines: ClassVar = ("WanPipeline", "WanImageToVideoPipeline")
    lossy: ClassVar = WEIGHTS | {"first_block", "taylor", "pyramid"}
    own: ClassVar = frozenset({"flow_shift", "max_sequence_length"})

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        named = weights.read_index(preset.name, folder)["_class_name"]
        pipe = from_folder(named, folder, preset, plan)
        if "flow_shift" in preset.options:
            scheduler = pipe.scheduler
            shift = {"flow_shift": preset.options["flow_shift"], "shift": preset.options["flow_shift"]}
            known = {key: value for key, value in shift.items() if key in scheduler.config}
            pipe.scheduler = type(scheduler).from_config(scheduler.config, **known)
        return pipe

    def call(self, request: Request) -> dict[str, Any]:
        asked = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        if "max_sequence_length" in self.preset.options:
            asked["max_sequence_length"] = self.preset.options["max_sequence_length"]
        if self._reworks(request):
            frames = (request.frames - 1) // GRID * GRID + 1
            del asked["num_frames"]
            video = enlarged(request, frames, request.width, request.height)
            return asked | {"video": video, "strength": strength(request.steps)}
        first = opening(request, request.width, request.height)
        return asked | ({"image": first[-1]} if first else {})

    def prepared(self, request: Request) -> Any:
        """A model that expands its timesteps (2.2, 5B) takes a first frame with the same weights."""
        if request.image is None and request.source is None:
            return self.pipe
        if self._reworks(request):
            return sibling(self.pipe, "WanVideoToVideoPipeline")
        ways = {name: self.pipe.config[name] for name in ("boundary_ratio", "expand_timesteps")}
        return sibling(self.pipe, "WanImageToVideoPipeline", **ways)

    def _reworks(self, request: Request) -> bool:
        """Weights for words alone take no first picture, but a whole clip to paint over."""
        words_alone = self.pipe.transformer.config.in_channels == self.pipe.vae.config.z_dim
        return request.kind is Kind.BIGGER and words_alone and not self.pipe.config.expand_timesteps
