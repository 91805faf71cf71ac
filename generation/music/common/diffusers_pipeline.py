"""Base class of music makers that are a diffusers pipeline: loading, progress, cancellation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from generation.clip import Audio
from generation.errors import ModelBroken, OutOfMemory
from generation.loading_gate import computing, loading
from generation.music.common import weights
from generation.music.common.audio_finish import check_sound, finish_audio, loop_to_length, to_stereo
from generation.progress import OnStep
from generation.request import Music


class DiffusersMaker:
    pipeline_class: ClassVar[str]
    """The pipeline class of diffusers."""
    half_type: ClassVar[str] = "float16"
    """The dtype on a GPU, as the model's card says."""
    shortest: ClassVar[float] = 0.0
    longest: ClassVar[float] = 600.0

    def __init__(self, pipe: Any, options: dict[str, Any]) -> None:
        self.pipe = pipe
        self.name = str(options.get("name", self.pipeline_class))
        self.steps = int(options.get("steps", 8))
        self.dtype = str(pipe.dtype).removeprefix("torch.")
        self.rate = int(pipe.vae.config.sampling_rate)

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        name = str(options.get("name", cls.pipeline_class))
        found = weights.find_weights(options, name)
        device, dtype = weights.device_and_type(options, cls.half_type)
        import diffusers  # noqa: PLC0415  (heavy)
        import torch  # noqa: PLC0415  (heavy)

        diffusers.utils.logging.disable_progress_bar()
        try:
            with loading():
                replaced = cls.component_overrides(found)
                pipe = getattr(diffusers, cls.pipeline_class).from_pretrained(
                    found,
                    dtype=dtype,
                    use_safetensors=True,
                    local_files_only=True,
                    **dict.fromkeys(replaced),  # None: its class may need a library that is not installed
                )
                pipe.register_modules(**replaced)
                if options.get("offload") and device != "cpu":
                    pipe.enable_model_cpu_offload()
                else:
                    pipe.to(device)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(name) from error
        except Exception as error:
            raise ModelBroken(name, f"{type(error).__name__}: {error}"[:500]) from error
        return cls(pipe, options)

    @classmethod
    def component_overrides(cls, folder: Path) -> dict[str, Any]:  # noqa: ARG003  (a maker may read it)
        """Components that replace those of the folder."""
        return {}

    def pipeline_arguments(self, music: Music, seconds: float) -> dict[str, Any]:
        """Arguments of the pipeline call, in addition to steps and generator."""
        raise NotImplementedError

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        with computing(on_step) as step:
            return self._compose(music, samples, rate, step)

    def _compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        import torch  # noqa: PLC0415  (heavy)

        seconds = min(self.longest, max(self.shortest, samples / rate))
        self.pipe.progress_bar = lambda *_, total=None, **__: StepProgressBar(on_step, total or self.steps)
        try:
            with torch.inference_mode():
                output = self.pipe(
                    **self.pipeline_arguments(music, seconds),
                    num_inference_steps=self.steps,
                    generator=torch.Generator("cpu").manual_seed(music.seed),
                    output_type="pt",
                )
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(self.name) from error
        sound = to_stereo(np.ascontiguousarray(output.audios[0].float().cpu().numpy().T))
        check_sound(self.name, sound)
        wanted = -(-samples * self.rate // rate)
        return finish_audio(loop_to_length(sound, wanted, 2 * self.rate), self.rate, samples, rate)

    def close(self) -> None:
        self.pipe = None


class StepProgressBar:
    """Replaces a pipeline's progress bar; an exception from `on_step` stops the pipeline."""

    def __init__(self, on_step: OnStep, total: int) -> None:
        self.on_step, self.total, self.done = on_step, total, 0

    def __enter__(self) -> Self:
        self.on_step(0, self.total)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int = 1) -> None:
        self.done += count
        self.on_step(min(self.done, self.total), self.total)
