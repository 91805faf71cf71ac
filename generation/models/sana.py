"""SANA-Video, from a prompt or a picture: its linear attention needs little memory for many frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common.diffusers_pipeline import DiffusersModel
from generation.models.common.first_frames import first_frames
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import with_pipeline_class

if TYPE_CHECKING:
    from generation.request import Request


@picture_model("sana")
class Sana(DiffusersModel):
    pipeline_classes: ClassVar = ("SanaVideoPipeline",)
    family_options: ClassVar = frozenset({"max_sequence_length", "instruction"})

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        """The option `instruction` replaces the default instruction for expanding the prompt."""
        arguments: dict[str, Any] = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            "use_resolution_binning": False,
        }
        if "instruction" in self.preset.options:
            arguments["complex_human_instruction"] = self.preset.options["instruction"]
        if "max_sequence_length" in self.preset.options:
            arguments["max_sequence_length"] = self.preset.options["max_sequence_length"]
        first = first_frames(request, request.width, request.height)
        return arguments | ({"image": first[-1]} if first else {})

    def pipeline_for(self, request: Request) -> Any:
        """The same weights also accept a first picture, in another pipeline class."""
        if request.image is None and request.source is None:
            return self.pipe
        return with_pipeline_class(self.pipe, "SanaImageToVideoPipeline")
