"""SANA-Video, from words or from a picture: linear attention, many frames for little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common.diffusers_pipeline import Diffused
from generation.models.common.first_frames import opening
from generation.models.common.registry import model
from generation.models.common.video_upscale import sibling

if TYPE_CHECKING:
    from generation.request import Request


@model("sana")
class Sana(Diffused):
    pipelines: ClassVar = ("SanaVideoPipeline",)
    own: ClassVar = frozenset({"max_sequence_length", "instruction"})

    def call(self, request: Request) -> dict[str, Any]:
        """`instruction` is what its language model is told to make of a prompt, if not its own."""
        asked: dict[str, Any] = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            "use_resolution_binning": False,
        }
        if "instruction" in self.preset.options:
            asked["complex_human_instruction"] = self.preset.options["instruction"]
        if "max_sequence_length" in self.preset.options:
            asked["max_sequence_length"] = self.preset.options["max_sequence_length"]
        first = opening(request, request.width, request.height)
        return asked | ({"image": first[-1]} if first else {})

    def prepared(self, request: Request) -> Any:
        """The same weights take a first picture."""
        if request.image is None and request.source is None:
            return self.pipe
        return sibling(self.pipe, "SanaImageToVideoPipeline")
