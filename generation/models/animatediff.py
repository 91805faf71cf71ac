"""AnimateDiff and AnimateDiff-Lightning: a still-image model as style, a motion adapter, camera LoRAs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from generation.errors import ModelBroken
from generation.loading_gate import loading
from generation.models.common import weights
from generation.models.common.device_placement import place_pipeline
from generation.models.common.diffusers_pipeline import DiffusersModel, cache_prompts
from generation.models.common.registry import picture_model
from generation.models.common.video_upscale import denoise_strength, enlarged_frames, with_pipeline_class
from generation.request import Kind

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request

DEFAULT_CAMERA_WEIGHT = 0.7
BASE_PIPELINE_CLASSES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")


@picture_model("animatediff")
class AnimateDiff(DiffusersModel):
    """`source` is the motion adapter: its folder, or a repository with a file for each number of steps.

    Options: `styles` names the still-image models, `cameras` the motion LoRAs, `files` the adapter for each
    number of steps.
    """

    pipeline_classes: ClassVar = ("AnimateDiffPipeline",)
    family_options: ClassVar = frozenset({"styles", "cameras", "files", "camera_weight"})

    def __init__(self, pipe: Any, preset: Preset, plan: MemoryPlan) -> None:
        super().__init__(pipe, preset, plan)
        self._current_style, self._current_adapter_file = (
            _default_style(preset),
            _adapter_file(preset, preset.limits.steps),
        )
        self._loaded_cameras: set[str] = set()

    @classmethod
    def find_weights(cls, preset: Preset) -> Path:
        if not preset.options.get("styles"):
            raise ModelBroken(preset.name, "has no styles")
        return weights.find_folder(preset.name, preset.source, preset.pinned_commit(preset.source))

    @classmethod
    def build_pipeline(cls, folder: Path, preset: Preset, plan: MemoryPlan) -> Any:
        adapter = _load_adapter(folder, preset, plan, _adapter_file(preset, preset.limits.steps))
        return _load_style_pipeline(_find_style(preset, _default_style(preset)), plan, adapter)

    def pipeline_arguments(self, request: Request) -> dict[str, Any]:
        steps = _nearest_steps(self.preset, request.steps)
        arguments = {
            "prompt": self.full_prompt(request),
            "negative_prompt": request.negative,
            "width": request.width,
            "height": request.height,
            "num_inference_steps": steps,
            "guidance_scale": request.guidance,
        }
        if request.kind is Kind.BIGGER:
            video = enlarged_frames(request, request.frames, request.width, request.height)
            return arguments | {"video": video, "strength": denoise_strength(steps)}
        return arguments | {"num_frames": request.frames}

    def pipeline_for(self, request: Request) -> Any:
        style = request.style or _default_style(self.preset)
        file = _adapter_file(self.preset, _nearest_steps(self.preset, request.steps))
        if self._must_load(style, file, request.camera):
            with loading():
                self._switch_style(style)
                self._switch_adapter(file)
                self._load_camera(request.camera)
        self._set_camera(request.camera)
        if request.kind is Kind.BIGGER:
            return with_pipeline_class(self.pipe, "AnimateDiffVideoToVideoPipeline")
        return self.pipe

    def _must_load(self, style: str, adapter_file: str | None, camera: str | None) -> bool:
        loaded = (self._current_style, self._current_adapter_file) == (style, adapter_file)
        return not loaded or (camera is not None and camera not in self._loaded_cameras)

    def _switch_style(self, style: str) -> None:
        if style == self._current_style:
            return
        base = _find_style(self.preset, style)  # before the present style is unloaded
        adapter = self.pipe.motion_adapter
        self.close()
        self.pipe = _load_style_pipeline(base, self.plan, adapter)
        place_pipeline(self.pipe, self.preset, self.plan)
        cache_prompts(self.pipe, self.plan)
        self._current_style, self._loaded_cameras = style, set()

    def _switch_adapter(self, file: str | None) -> None:
        if file == self._current_adapter_file:
            return
        folder = self.find_weights(self.preset)
        if self._loaded_cameras:  # camera LoRAs are part of the layers that are replaced
            self.pipe.unload_lora_weights()
            self._loaded_cameras.clear()
        self.pipe.unet.load_motion_modules(_load_adapter(folder, self.preset, self.plan, file))
        self.pipe.unet.to(self.pipe.device)
        self._current_adapter_file = file

    def _load_camera(self, camera: str | None) -> None:
        if camera is None or camera in self._loaded_cameras:
            return
        source = self.preset.options["cameras"][camera]
        folder = weights.find_folder(self.preset.name, source, self.preset.pinned_commit(source))
        self.pipe.load_lora_weights(folder, adapter_name=_lora_name(camera), use_safetensors=True)
        self._loaded_cameras.add(camera)

    def _set_camera(self, camera: str | None) -> None:
        if camera is None:
            if self._loaded_cameras:
                self.pipe.disable_lora()
            return
        self.pipe.enable_lora()
        weight = self.preset.options.get("camera_weight", DEFAULT_CAMERA_WEIGHT)
        self.pipe.set_adapters([_lora_name(camera)], [weight])


def _lora_name(camera: str) -> str:
    return camera.replace("-", "_")


def _default_style(preset: Preset) -> str:
    return str(next(iter(preset.options["styles"])))


def _nearest_steps(preset: Preset, wanted: int) -> int:
    """The nearest number of steps that a distilled adapter exists for."""
    files = preset.options.get("files")
    return min(map(int, files), key=lambda steps: abs(steps - wanted)) if files else wanted


def _adapter_file(preset: Preset, wanted: int) -> str | None:
    files = preset.options.get("files")
    return str(files[str(_nearest_steps(preset, wanted))]) if files else None


def _load_adapter(folder: Path, preset: Preset, plan: MemoryPlan, file: str | None) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers import MotionAdapter  # noqa: PLC0415  (heavy)
    from safetensors.torch import load_file  # noqa: PLC0415  (heavy)

    dtype = getattr(torch, plan.dtype)
    if file is None:
        return MotionAdapter.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    weights.check_safetensors(preset.name, folder / file)
    shape = MotionAdapter.load_config(folder) if (folder / "config.json").is_file() else {}
    adapter = MotionAdapter.from_config(shape).to(dtype=dtype)
    adapter.load_state_dict(load_file(folder / file))
    return adapter


def _find_style(preset: Preset, style: str) -> Path:
    """The checked folder of a style's pipeline; raises ModelMissing or ModelBroken."""
    source = preset.options["styles"][style]
    base = weights.find_folder(preset.name, source, preset.pinned_commit(source))
    weights.check_pipeline(preset.name, base, BASE_PIPELINE_CLASSES)
    return base


def _load_style_pipeline(base: Path, plan: MemoryPlan, adapter: Any) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers import AnimateDiffPipeline, EulerDiscreteScheduler  # noqa: PLC0415  (heavy)

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
