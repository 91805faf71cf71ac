"""SANA-Video: linear attention, many frames for little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models import model
from generation.models.common.diffused import Diffused

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
        return asked
