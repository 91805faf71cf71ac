"""Base class of families that are a diffusers pipeline: loading, placement, progress, frame checks."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from generation.clip import Frames
from generation.errors import GenerationError, ModelBroken, OutOfMemory
from generation.loading_gate import computing, loading
from generation.models.common import weights
from generation.models.common.device_placement import denoiser, denoiser_offloaded, place_pipeline
from generation.models.common.frames import fit_frames, to_uint8_frames
from generation.models.common.lossy import QUANTIZATIONS, reset_step_caches
from generation.models.common.preset import MemoryTier
from generation.models.common.prompt_cache import PromptCache
from generation.models.common.step_callback import report_steps
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.progress import OnStep
    from generation.request import Request

log = logging.getLogger(__name__)
OUT_OF_MEMORY_PHRASES = ("out of memory", "allocate memory", "not enough memory")
"""Parts of the messages that torch gives where it has no exception class for it."""
SHARED_OPTIONS = frozenset({"attention", "lossy", "lossy_settings", "call", "variant", "vae_float32"})
"""Options that every family accepts; `call` is passed to the pipeline unchanged."""


class DiffusersModel(ABC):
    pipeline_classes: ClassVar[tuple[str, ...]]
    """Pipeline classes of diffusers that a folder's index may name; by default the first is used."""
    family_options: ClassVar[frozenset[str]] = frozenset()
    """Options that only this family accepts."""
    supported_lossy: ClassVar[frozenset[str]] = QUANTIZATIONS
    """The options of `common.lossy` that work with it."""

    def __init__(self, pipe: Any, preset: Preset, plan: MemoryPlan) -> None:
        self.pipe, self.preset, self.plan = pipe, preset, plan

    @classmethod
    def known_options(cls) -> frozenset[str]:
        return SHARED_OPTIONS | cls.family_options

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> Self:
        unknown = sorted(preset.options.keys() - cls.known_options())
        if unknown:
            raise ModelBroken(preset.name, f"has no option {unknown[0]!r}")
        folder = cls.find_weights(preset)
        try:
            with loading():
                silence_progress_bars()
                pipe = cls.build_pipeline(folder, preset, plan)
                place_pipeline(pipe, preset, plan)
        except GenerationError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(preset.name) from error
            raise ModelBroken(preset.name, f"{type(error).__name__}: {error}"[:500]) from error
        cache_prompts(pipe, plan)
        return cls(pipe, preset, plan)

    @classmethod
    def find_weights(cls, preset: Preset) -> Path:
        return weights.find_pipeline(preset, cls.pipeline_classes)

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        return load_pipeline(cls.pipeline_classes[0], folder, preset, plan)

    @abstractmethod
    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        """Arguments of the pipeline call, in addition to those that `generate_frames` always passes."""

    def frames_from_output(self, output: Any, request: Request) -> Frames:
        return Frames(to_uint8_frames(self.preset.name, output.frames[0]), request.fps)

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        with computing(on_step) as step:
            return self._generate_frames(request, step)

    def _generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        import torch  # noqa: PLC0415  (heavy)

        pipe, arguments = self.pipeline_for(request), self.pipeline_arguments(request)
        generator = cpu_generator(request.seed)
        try:
            reset_step_caches(denoiser(pipe), pipe)
            with report_steps(pipe, on_step), torch.inference_mode():
                output = pipe(
                    generator=generator, output_type="pt", **arguments, **self.preset.options.get("call", {})
                )
            frames = self.frames_from_output(output, request)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(self.preset.name) from error
            raise
        sized = self.resize_frames(frames.pixels, request)
        overlap = self.overlap_frames(arguments) if request.kind is Kind.EXTEND else 0
        return Frames(sized, request.fps, frames.audio, overlap)

    def overlap_frames(self, arguments: dict[str, Any]) -> int:  # noqa: ARG002  (a family may count)
        """Frames at the start of an extension that repeat the end of its source: those it started from."""
        return 1

    def resize_frames(self, pixels: NDArray[np.uint8], request: Request) -> NDArray[np.uint8]:
        """The generated frames at the requested size and count."""
        return fit_frames(pixels, request.frames, request.width, request.height)

    def pipeline_for(self, request: Request) -> Any:  # noqa: ARG002  (a family may choose by request)
        """The pipeline for this request."""
        return self.pipe

    def weight_modules(self) -> tuple[object, ...]:
        """The modules that hold the weights."""
        parts = self.pipe.components.values() if self.pipe is not None else ()
        return tuple(part for part in parts if hasattr(part, "parameters"))

    def close(self) -> None:
        remove = getattr(self.pipe, "remove_all_hooks", None)
        if remove is not None:
            remove()
        self.pipe = None

    def full_prompt(self, request: Request) -> str:
        return (
            f"{request.prompt}, {self.preset.prompt_suffix}" if self.preset.prompt_suffix else request.prompt
        )


def load_pipeline(name: str, folder: Path, preset: Preset, plan: MemoryPlan, **parts: Any) -> Any:
    """Load the named pipeline class from a checked folder: safetensors only, without network access."""
    import diffusers  # noqa: PLC0415  (heavy)
    import torch  # noqa: PLC0415  (heavy)

    dtype: Any = getattr(torch, plan.dtype)
    if preset.options.get("vae_float32"):
        dtype = {"default": dtype, "vae": torch.float32}
    return getattr(diffusers, name).from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        variant=preset.options.get("variant"),
        **parts,
    )


def cache_prompts(pipe: Any, plan: MemoryPlan) -> None:
    """Encode each prompt once; with LEAN, text encoders are on the GPU only while they encode."""
    encode_context = (
        partial(denoiser_offloaded, pipe, plan.device) if plan.tier is MemoryTier.LEAN else nullcontext
    )
    pipe.encode_prompt = PromptCache(pipe.encode_prompt, encode_context=encode_context)


def cpu_generator(seed: int) -> Any:
    """A generator on the CPU, so that a seed gives the same noise on every GPU."""
    import torch  # noqa: PLC0415  (heavy)

    return torch.Generator("cpu").manual_seed(seed)


def silence_progress_bars() -> None:
    """Disable the libraries' progress bars: progress is reported through callbacks."""
    import diffusers.utils.logging  # noqa: PLC0415  (heavy)
    import transformers.utils.logging  # noqa: PLC0415  (heavy)

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def is_out_of_memory(error: BaseException) -> bool:
    import torch  # noqa: PLC0415  (heavy)

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in message for words in OUT_OF_MEMORY_PHRASES)
