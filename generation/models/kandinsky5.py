"""Kandinsky 5 Lite, also distilled to few steps; from a prompt, or a picture with image-to-video weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from generation.errors import NotOffered
from generation.models.common import weights
from generation.models.common.diffusers_pipeline import DiffusersModel, load_pipeline
from generation.models.common.first_frames import first_frames
from generation.models.common.registry import picture_model

if TYPE_CHECKING:
    from pathlib import Path

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request


@picture_model("kandinsky5")
class Kandinsky5(DiffusersModel):
    pipeline_classes: ClassVar = ("Kandinsky5T2VPipeline", "Kandinsky5I2VPipeline")
    family_options: ClassVar = frozenset({"max_sequence_length"})

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        """Use the tokenizer instead of the processor, which also reads pictures and needs torchvision."""
        from transformers import AutoTokenizer  # noqa: PLC0415  (heavy)

        class_name = weights.read_index(preset.name, folder)["_class_name"]
        pipe = load_pipeline(class_name, folder, preset, plan, tokenizer=None)
        pipe.tokenizer = TextOnlyProcessor(
            AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        )
        return pipe

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        arguments = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative or None,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frames,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }
        if "max_sequence_length" in self.preset.options:
            arguments["max_sequence_length"] = self.preset.options["max_sequence_length"]
        if type(self.pipe).__name__ == self.pipeline_classes[0]:
            return arguments
        first = first_frames(request, request.width, request.height)
        if not first:
            raise NotOffered(request.kind.value, self.preset.name)
        return arguments | {"image": first[-1]}


class TextOnlyProcessor:
    """A tokenizer with the interface of a processor."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: list[str], *, images: None, videos: None, **more: Any) -> Any:
        assert images is None
        assert videos is None
        return self._tokenizer(text, **more)

    def decode(self, tokens: Any) -> str:
        return str(self._tokenizer.decode(tokens))
