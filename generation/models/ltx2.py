"""LTX-2: generates video and sound together, from a prompt or a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.clip import Audio, Frames
from generation.models.common.diffusers_pipeline import DiffusersModel
from generation.models.common.first_frames import first_frames
from generation.models.common.frames import to_uint8_frames
from generation.models.common.lossy import QUANTIZATIONS
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import with_pipeline_class

if TYPE_CHECKING:
    from generation.request import Request

FORWARDED_OPTIONS = (
    "sigmas",
    "stg_scale",
    "modality_scale",
    "guidance_rescale",
    "audio_guidance_scale",
    "audio_stg_scale",
    "audio_modality_scale",
    "audio_guidance_rescale",
    "max_sequence_length",
)


@picture_model("ltx2")
class Ltx2(DiffusersModel):
    pipeline_classes: ClassVar = ("LTX2Pipeline", "LTX2ImageToVideoPipeline")
    supported_lossy: ClassVar = QUANTIZATIONS | {"taylor"}
    family_options: ClassVar = frozenset(FORWARDED_OPTIONS)

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        arguments = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "frame_rate": request.fps,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        forwarded = {
            name: self.preset.options[name] for name in FORWARDED_OPTIONS if name in self.preset.options
        }
        first = first_frames(request, request.width, request.height)
        return arguments | forwarded | ({"image": first[-1]} if first else {})

    def frames_from_output(self, output: Any, request: Request) -> Frames:
        rate = int(self.pipe.vocoder.config.output_sampling_rate)
        samples = output.audio[0].float().clamp(-1, 1).T.contiguous().cpu().numpy()
        return Frames(to_uint8_frames(self.preset.name, output.frames[0]), request.fps, Audio(samples, rate))

    def pipeline_for(self, request: Request) -> Any:
        if request.image is None and request.source is None:
            return self.pipe
        return with_pipeline_class(self.pipe, "LTX2ImageToVideoPipeline")
