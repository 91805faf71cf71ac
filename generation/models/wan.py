"""Wan 2.1 and 2.2, from words, or from a picture where the weights are made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models import model
from generation.models.common import weights
from generation.models.common.diffused import Diffused, from_folder
from generation.models.common.opening import opening

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.plan import Plan
    from generation.models.preset import Preset
    from generation.request import Request


@model("wan")
class Wan(Diffused):
    pipelines: ClassVar = ("WanPipeline", "WanImageToVideoPipeline")
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
        first = opening(request, request.width, request.height)
        return asked | ({"image": first[-1]} if first else {})

    def prepared(self, request: Request) -> Any:
        """A model that expands its timesteps (2.2, 5B) takes a first frame with the same weights."""
        wants_picture = request.image is not None or request.source is not None
        from diffusers import WanImageToVideoPipeline  # noqa: PLC0415  (heavy)

        if not wants_picture or isinstance(self.pipe, WanImageToVideoPipeline):
            return self.pipe
        parts = {name: self.pipe.components[name] for name in self.pipe.components if name != "image_encoder"}
        conditioned = WanImageToVideoPipeline(
            **parts,
            boundary_ratio=self.pipe.config.boundary_ratio,
            expand_timesteps=self.pipe.config.expand_timesteps,
        )
        conditioned.encode_prompt = self.pipe.encode_prompt
        return conditioned
