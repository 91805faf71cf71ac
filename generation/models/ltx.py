"""LTX-Video (0.9.x and its distilled kin), from words or from a picture; also small models of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common import flat_art_upscale
from generation.models.common.diffusers_pipeline import Diffused, torch_seed
from generation.models.common.first_frames import opening
from generation.models.common.lossy import WEIGHTS
from generation.models.common.ltx_upscale import repainted
from generation.models.common.registry import model
from generation.models.common.video_upscale import sibling
from generation.request import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.request import Request


@model("ltx")
class Ltx(Diffused):
    pipelines: ClassVar = ("LTXPipeline", "LTXConditionPipeline")
    lossy: ClassVar = WEIGHTS | {"first_block", "taylor", "pyramid"}
    own: ClassVar = frozenset(
        {
            "timesteps",
            "decode_timestep",
            "decode_noise_scale",
            "native_width",
            "native_height",
            "native_frames",
            "native_fps",
            "max_sequence_length",
            "upscaler",
            "flat_art",
        }
    )

    def call(self, request: Request) -> dict[str, Any]:
        options = self.preset.options
        asked = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": options.get("native_width", request.width),
            "height": options.get("native_height", request.height),
            "num_frames": options.get("native_frames", request.frames),
            "frame_rate": options.get("native_fps", request.fps),
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        for name in ("decode_timestep", "decode_noise_scale", "max_sequence_length"):
            if name in options:
                asked[name] = options[name]
        if self._distilled(request):
            asked["timesteps"] = options["timesteps"]
        if request.kind is Kind.BIGGER:
            seed = torch_seed(request.seed)
            return asked | repainted(self.pipe, self.preset, self.plan, request, seed)
        return asked | self._opening(request, asked["width"], asked["height"])

    def sized(self, made: NDArray[np.uint8], request: Request) -> NDArray[np.uint8]:
        if not self.preset.options.get("flat_art"):
            return super().sized(made, request)
        return flat_art_upscale.enlarged(made, request.frames, request.width, request.height)

    def _distilled(self, request: Request) -> bool:
        """Distilled weights know certain times best, if asked for exactly so many steps."""
        return len(self.preset.options.get("timesteps", ())) == request.steps

    def _opening(self, request: Request, width: int, height: int) -> dict[str, Any]:
        """The condition pipeline takes the frames that a clip opens with."""
        first = opening(request, width, height)
        if not first:
            return {}
        return {"image": first[0]} if len(first) == 1 else {"video": first}

    def prepared(self, request: Request) -> Any:
        """Conditioning, and times of one's own, take another pipeline class over the same weights."""
        if request.image is None and request.source is None and not self._distilled(request):
            return self.pipe
        return sibling(self.pipe, "LTXConditionPipeline")
