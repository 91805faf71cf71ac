"""AnimateDiff and AnimateDiff-Lightning: a still-picture model as style, a motion adapter, camera moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from generation.errors import ModelBroken
from generation.models.common import weights
from generation.models.common.device_placement import place
from generation.models.common.diffusers_pipeline import Diffused, remember
from generation.models.common.registry import model
from generation.models.common.video_upscale import enlarged, sibling, strength
from generation.request import Kind

if TYPE_CHECKING:
    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset
    from generation.request import Request

CAMERA_WEIGHT = 0.7
BASES = ("StableDiffusionPipeline",)


@model("animatediff")
class AnimateDiff(Diffused):
    """`source` is the motion: an adapter's folder, or a repository with a file for each number of steps.

    Options: `styles` names the still-picture models, `cameras` the motion LoRAs, `files` the adapter of each
    number of steps.
    """

    pipelines: ClassVar = ("AnimateDiffPipeline",)
    own: ClassVar = frozenset({"styles", "cameras", "files", "camera_weight"})

    def __init__(self, pipe: Any, preset: Preset, plan: Plan) -> None:
        super().__init__(pipe, preset, plan)
        self._style, self._file = _first_style(preset), _file(preset, preset.limits.steps)
        self._cameras: set[str] = set()

    @classmethod
    def locate(cls, preset: Preset) -> Path:
        if not preset.options.get("styles"):
            raise ModelBroken(preset.name, "has no styles")
        return weights.locate(preset.name, preset.source, preset.pin(preset.source))

    @classmethod
    def build(cls, folder: Path, preset: Preset, plan: Plan) -> Any:
        adapter = _adapter(folder, preset, plan, _file(preset, preset.limits.steps))
        return _styled(preset, plan, _first_style(preset), adapter)

    def call(self, request: Request) -> dict[str, Any]:
        steps = _steps(self.preset, request.steps)
        asked = {
            "prompt": self.prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_inference_steps": steps,
            "guidance_scale": request.guidance,
        }
        if request.kind is Kind.BIGGER:
            video = enlarged(request, request.frames, request.width, request.height)
            return asked | {"video": video, "strength": strength(steps)}
        return asked | {"num_frames": request.frames}

    def prepared(self, request: Request) -> Any:
        self._wear(request.style or _first_style(self.preset))
        self._move(_file(self.preset, _steps(self.preset, request.steps)))
        self._point(request.camera)
        if request.kind is Kind.BIGGER:
            return sibling(self.pipe, "AnimateDiffVideoToVideoPipeline")
        return self.pipe

    def _wear(self, style: str) -> None:
        if style == self._style:
            return
        adapter = self.pipe.motion_adapter
        self.close()
        self.pipe = _styled(self.preset, self.plan, style, adapter)
        place(self.pipe, self.preset, self.plan)
        remember(self.pipe, self.plan)
        self._style, self._cameras = style, set()

    def _move(self, file: str | None) -> None:
        if file == self._file:
            return
        folder = self.locate(self.preset)
        if self._cameras:  # they are woven into the layers that are about to change
            self.pipe.unload_lora_weights()
            self._cameras.clear()
        self.pipe.unet.load_motion_modules(_adapter(folder, self.preset, self.plan, file))
        self.pipe.unet.to(self.pipe.device)
        self._file = file

    def _point(self, camera: str | None) -> None:
        if camera is None:
            if self._cameras:
                self.pipe.disable_lora()
            return
        name = camera.replace("-", "_")
        if camera not in self._cameras:
            source = self.preset.options["cameras"][camera]
            folder = weights.locate(self.preset.name, source, self.preset.pin(source))
            self.pipe.load_lora_weights(folder, adapter_name=name, use_safetensors=True)
            self._cameras.add(camera)
        self.pipe.enable_lora()
        self.pipe.set_adapters([name], [self.preset.options.get("camera_weight", CAMERA_WEIGHT)])


def _first_style(preset: Preset) -> str:
    return str(next(iter(preset.options["styles"])))


def _steps(preset: Preset, wanted: int) -> int:
    """A distilled adapter is made for its own number of steps."""
    files = preset.options.get("files")
    return min(map(int, files), key=lambda steps: abs(steps - wanted)) if files else wanted


def _file(preset: Preset, wanted: int) -> str | None:
    files = preset.options.get("files")
    return str(files[str(_steps(preset, wanted))]) if files else None


def _adapter(folder: Path, preset: Preset, plan: Plan, file: str | None) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers import MotionAdapter  # noqa: PLC0415  (heavy)
    from safetensors.torch import load_file  # noqa: PLC0415  (heavy)

    dtype = getattr(torch, plan.dtype)
    if file is None:
        return MotionAdapter.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    weights.check_file(preset.name, folder / file)
    shape = MotionAdapter.load_config(folder) if (folder / "config.json").is_file() else {}
    adapter = MotionAdapter.from_config(shape).to(dtype=dtype)
    adapter.load_state_dict(load_file(folder / file))
    return adapter


def _styled(preset: Preset, plan: Plan, style: str, adapter: Any) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers import AnimateDiffPipeline, EulerDiscreteScheduler  # noqa: PLC0415  (heavy)

    source = preset.options["styles"][style]
    base = weights.locate(preset.name, source, preset.pin(source))
    weights.check_pipeline(preset.name, base, BASES)
    pipe = AnimateDiffPipeline.from_pretrained(
        base,
        motion_adapter=adapter,
        dtype=getattr(torch, plan.dtype),
        use_safetensors=True,
        local_files_only=True,
        feature_extractor=None,
        image_encoder=None,
    )
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="trailing", beta_schedule="linear"
    )
    return pipe
