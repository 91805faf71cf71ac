"""LTX-2: picture and sound made together, from words or from a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.clip import Frames, Score
from generation.models.common.diffusers_pipeline import Diffused
from generation.models.common.first_frames import opening
from generation.models.common.frames import pixels
from generation.models.common.lossy import WEIGHTS
from generation.models.common.registry import model
from generation.models.common.video_upscale import sibling

if TYPE_CHECKING:
    from generation.request import Request

PASSED = (
    "sigmas",
    "stg_scale",
    "modality_scale",
    "guidance_rescale",
    "audio_guidance_scale",
    "max_sequence_length",
)


@model("ltx2")
class Ltx2(Diffused):
    pipelines: ClassVar = ("LTX2Pipeline", "LTX2ImageToVideoPipeline")
    lossy: ClassVar = WEIGHTS | {"taylor"}
    own: ClassVar = frozenset(PASSED)

    def call(self, request: Request) -> dict[str, Any]:
        asked = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "frame_rate": request.fps,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        given = {name: self.preset.options[name] for name in PASSED if name in self.preset.options}
        first = opening(request, request.width, request.height)
        return asked | given | ({"image": first[-1]} if first else {})

    def frames(self, output: Any, request: Request) -> Frames:
        rate = int(self.pipe.vocoder.config.output_sampling_rate)
        sound = output.audio[0].float().clamp(-1, 1).T.contiguous().cpu().numpy()
        return Frames(pixels(self.preset.name, output.frames[0]), request.fps, Score(sound, rate))

    def prepared(self, request: Request) -> Any:
        if request.image is None and request.source is None:
            return self.pipe
        return sibling(self.pipe, "LTX2ImageToVideoPipeline")
