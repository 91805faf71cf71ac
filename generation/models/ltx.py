"""LTX-Video (0.9.x, also distilled), from a prompt or a picture; also small models of its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.models.common import flat_art_upscale
from generation.models.common.diffusers_pipeline import DiffusersModel, cpu_generator
from generation.models.common.first_frames import SOURCE_FRAMES, first_frames
from generation.models.common.lossy import QUANTIZATIONS
from generation.models.common.ltx_schedule import (
    scheduler_for_given_timesteps,
    shifted_timesteps,
    shifts_by_size,
)
from generation.models.common.ltx_upscale import upscale_arguments
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import with_pipeline_class
from generation.request import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.request import Request


@picture_model("ltx")
class Ltx(DiffusersModel):
    pipeline_classes: ClassVar = ("LTXPipeline", "LTXConditionPipeline")
    supported_lossy: ClassVar = QUANTIZATIONS | {"first_block", "taylor", "pyramid"}
    family_options: ClassVar = frozenset(
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

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        options = self.preset.options
        arguments = {
            "prompt": self.full_prompt(request),
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
                arguments[name] = options[name]
        if request.kind is Kind.BIGGER:
            seed = cpu_generator(request.seed)
            arguments |= upscale_arguments(self.pipe, self.preset, self.plan, request, seed)
        else:
            arguments |= self._first_frame_arguments(request, arguments["width"], arguments["height"])
        if self._needs_condition_pipeline(request):
            arguments |= self._timestep_arguments(request, arguments)
        return arguments

    def resize_frames(self, pixels: NDArray[np.uint8], request: Request) -> NDArray[np.uint8]:
        if not self.preset.options.get("flat_art"):
            return super().resize_frames(pixels, request)
        return flat_art_upscale.upscale_flat_art(pixels, request.frames, request.width, request.height)

    def _uses_distilled_timesteps(self, request: Request) -> bool:
        """Whether to use the timesteps that distilled weights were trained on: if their number matches."""
        return len(self.preset.options.get("timesteps", ())) == request.steps

    def _first_frame_arguments(self, request: Request, width: int, height: int) -> dict[str, Any]:
        """The arguments with which the condition pipeline gets the frames that a clip starts from."""
        first = first_frames(request, width, height, source_frames=self._source_frames(request))
        if not first:
            return {}
        usable = first if len(first) == SOURCE_FRAMES else first[-1:]  # the VAE needs whole latent frames
        return {"image": usable[0]} if len(usable) == 1 else {"video": [usable]}

    def _source_frames(self, request: Request) -> int:
        """Frames that an extension starts from: one where more would leave no new frames or be resampled."""
        resampled = "native_frames" in self.preset.options or "native_fps" in self.preset.options
        return 1 if resampled or request.frames <= SOURCE_FRAMES else SOURCE_FRAMES

    def overlap_frames(self, arguments: dict[str, Any]) -> int:
        return len(arguments["video"][0]) if "video" in arguments else 1

    def _timestep_arguments(self, request: Request, arguments: dict[str, Any]) -> dict[str, Any]:
        """The timesteps of the condition pipeline, unless its own schedule is the one of the weights."""
        if self._uses_distilled_timesteps(request):
            return {"timesteps": self.preset.options["timesteps"]}
        if not shifts_by_size(self.pipe):
            return {}
        size = (arguments["num_frames"], arguments["width"], arguments["height"])
        return {"timesteps": shifted_timesteps(self.pipe, request.steps, *size)}

    def _needs_condition_pipeline(self, request: Request) -> bool:
        """First frames need it, and so do timesteps that the plain pipeline cannot compute or be given."""
        conditioned = request.image is not None or request.source is not None
        one_shifted_step = request.steps == 1 and shifts_by_size(self.pipe)
        return conditioned or one_shifted_step or self._uses_distilled_timesteps(request)

    def pipeline_for(self, request: Request) -> Any:
        """The plain pipeline or the condition pipeline, with the same weights."""
        if not self._needs_condition_pipeline(request):
            return self.pipe
        gets_timesteps = shifts_by_size(self.pipe) or self._uses_distilled_timesteps(request)
        own = {"scheduler": scheduler_for_given_timesteps(self.pipe)} if gets_timesteps else {}
        return with_pipeline_class(self.pipe, "LTXConditionPipeline", **own)
