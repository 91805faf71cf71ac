"""A family that is a diffusers pipeline: loaded, placed, watched, and its picture judged."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from generation.clip import Frames
from generation.errors import GenerationError, ModelBroken, OutOfMemory
from generation.models.common import weights
from generation.models.common.device_placement import painter, place, stepping_aside
from generation.models.common.frames import fitted, pixels
from generation.models.common.lossy import WEIGHTS, watch
from generation.models.common.memory_plan import Keep
from generation.models.common.prompt_cache import Remembering
from generation.models.common.step_callback import watched
from generation.request import Kind

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.progress import OnStep
    from generation.request import Request

log = logging.getLogger(__name__)
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")
"""How torch says it where it has no class for it."""
SHARED = frozenset({"attention", "lossy", "lossy_settings", "call", "variant", "vae_float32"})
"""Options that every family takes; `call` is passed to the pipeline as it is."""


class Diffused(ABC):
    pipelines: ClassVar[tuple[str, ...]]
    """Classes of diffusers that a folder's index may name; the first is the one used."""
    carried: ClassVar[int] = 1
    """Frames that an extended clip opens with."""
    own: ClassVar[frozenset[str]] = frozenset()
    """Options that only this family takes."""
    lossy: ClassVar[frozenset[str]] = WEIGHTS
    """What of `common.lossy` works with it."""

    def __init__(self, pipe: Any, preset: Preset, plan: Plan) -> None:
        self.pipe, self.preset, self.plan = pipe, preset, plan

    @classmethod
    def options(cls) -> frozenset[str]:
        return SHARED | cls.own

    @classmethod
    def load(cls, preset: Preset, plan: Plan) -> Self:
        unknown = sorted(preset.options.keys() - cls.options())
        if unknown:
            raise ModelBroken(preset.name, f"has no option {unknown[0]!r}")
        folder = cls.locate(preset)
        hush()
        try:
            pipe = cls.build(folder, preset, plan)
            place(pipe, preset, plan)
        except GenerationError:
            raise
        except Exception as error:
            if is_memory(error):
                raise OutOfMemory(preset.name) from error
            raise ModelBroken(preset.name, f"{type(error).__name__}: {error}"[:500]) from error
        remember(pipe, plan)
        return cls(pipe, preset, plan)

    @classmethod
    def locate(cls, preset: Preset) -> Path:
        return weights.find(preset, cls.pipelines)

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        return from_folder(cls.pipelines[0], folder, preset, plan)

    @abstractmethod
    def call(self, request: Request) -> dict[str, Any]:
        """What the pipeline is called with, beyond what `paint` always passes."""

    def frames(self, output: Any, request: Request) -> Frames:
        return Frames(pixels(self.preset.name, output.frames[0]), request.fps)

    def paint(self, request: Request, on_step: OnStep) -> Frames:
        import torch  # noqa: PLC0415  (heavy)

        pipe, asked = self.prepared(request), self.call(request)
        seed = torch_seed(request.seed)
        try:
            watch(painter(pipe), pipe)
            with watched(pipe, on_step), torch.inference_mode():
                output = pipe(
                    generator=seed, output_type="pt", **asked, **self.preset.options.get("call", {})
                )
            made = self.frames(output, request)
        except Exception as error:
            if is_memory(error):
                raise OutOfMemory(self.preset.name) from error
            raise
        sized = self.sized(made.pixels, request)
        carried = self.carried if request.kind is Kind.EXTEND else 0
        return Frames(sized, request.fps, made.audio, carried)

    def sized(self, made: NDArray[np.uint8], request: Request) -> NDArray[np.uint8]:
        """What was painted, at the size and count asked for."""
        return fitted(made, request.frames, request.width, request.height)

    def prepared(self, request: Request) -> Any:  # noqa: ARG002  (a family may choose by request)
        """The pipeline for this request."""
        return self.pipe

    def parts(self) -> tuple[object, ...]:
        """What takes the memory."""
        parts = self.pipe.components.values() if self.pipe is not None else ()
        return tuple(part for part in parts if hasattr(part, "parameters"))

    def close(self) -> None:
        remove = getattr(self.pipe, "remove_all_hooks", None)
        if remove is not None:
            remove()
        self.pipe = None

    def prompt(self, request: Request) -> str:
        return (
            f"{request.prompt}, {self.preset.prompt_suffix}" if self.preset.prompt_suffix else request.prompt
        )


def from_folder(name: str, folder: Path, preset: Preset, plan: Plan, **parts: Any) -> Any:
    """The named pipeline class from a checked folder, from nothing but safetensors and without a network."""
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


def remember(pipe: Any, plan: Plan) -> None:
    """Words read once are known; where the card is too small for all, readers come onto it only to read."""
    around = partial(stepping_aside, pipe, plan.device) if plan.keep is Keep.LEAN else nullcontext
    pipe.encode_prompt = Remembering(pipe.encode_prompt, around=around)


def torch_seed(seed: int) -> Any:
    """On the processor, so that a seed means the same on every card."""
    import torch  # noqa: PLC0415  (heavy)

    return torch.Generator("cpu").manual_seed(seed)


def hush() -> None:
    """Loading bars belong to terminals; ours tells progress otherwise."""
    import diffusers.utils.logging  # noqa: PLC0415  (heavy)
    import transformers.utils.logging  # noqa: PLC0415  (heavy)

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def is_memory(error: BaseException) -> bool:
    import torch  # noqa: PLC0415  (heavy)

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in told for words in NO_MEMORY)
