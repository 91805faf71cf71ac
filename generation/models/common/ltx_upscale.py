"""Enlarge a clip with LTX: latents, enlarged by a network or as pictures, are partly denoised again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken
from generation.loading_gate import loading
from generation.models.common import weights
from generation.models.common.video_upscale import denoise_strength, enlarged_frames

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.request import Request

SIDE_MULTIPLE = 32


def upscale_arguments(
    pipe: Any, preset: Preset, plan: MemoryPlan, request: Request, generator: Any
) -> dict[str, Any]:
    """Arguments for the conditioned pipeline to generate the request's source clip at the request's size."""
    step = pipe.vae_temporal_compression_ratio
    frames = (request.frames - 1) // step * step + 1
    has_upsampler = "upscaler" in preset.options  # the network always doubles the size
    sides = [side // (2 if has_upsampler else 1) for side in (request.width, request.height)]
    width, height = (max(SIDE_MULTIPLE, side // SIDE_MULTIPLE * SIDE_MULTIPLE) for side in sides)
    video = enlarged_frames(request, frames, width, height)
    if has_upsampler:
        latents = _latents_by_upsampler(pipe, preset, plan, video, generator)
        width, height = width * 2, height * 2
    else:
        latents = _latents_by_vae(pipe, video, generator)
    return {
        "latents": latents,
        "width": width,
        "height": height,
        "num_frames": frames,
        "denoise_strength": denoise_strength(request.steps),
    }


def _latents_by_upsampler(
    pipe: Any, preset: Preset, plan: MemoryPlan, video: list[Any], generator: Any
) -> Any:
    from diffusers import LTXLatentUpsamplePipeline  # noqa: PLC0415  (heavy)

    width, height = video[0].size
    upsampler = LTXLatentUpsamplePipeline(vae=pipe.vae, latent_upsampler=_load_upsampler(preset, plan))
    return upsampler(
        video=video, width=width, height=height, generator=generator, output_type="latent"
    ).frames


def _latents_by_vae(pipe: Any, video: list[Any], generator: Any) -> Any:
    import torch  # noqa: PLC0415  (heavy)

    width, height = video[0].size
    vae = pipe.vae
    pixels = pipe.video_processor.preprocess_video(video, height=height, width=width)
    with torch.inference_mode():
        latents = vae.encode(pixels.to(pipe._execution_device, vae.dtype)).latent_dist.sample(generator)  # noqa: SLF001  (there is no public name)
        return pipe._normalize_latents(latents, vae.latents_mean, vae.latents_std)  # noqa: SLF001  (the pipeline's own scaling)


def _load_upsampler(preset: Preset, plan: MemoryPlan) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers.pipelines.ltx.modeling_latent_upsampler import (  # noqa: PLC0415  (heavy)
        LTXLatentUpsamplerModel,
    )

    source = preset.options["upscaler"]
    folder = weights.find_folder(preset.name, source, preset.pinned_commit(source))
    inner = folder / "latent_upsampler"
    part = inner if inner.is_dir() else folder
    for file in part.glob("*.safetensors"):
        weights.check_safetensors(preset.name, file)
    try:
        with loading():
            network = LTXLatentUpsamplerModel.from_pretrained(
                part, dtype=getattr(torch, plan.dtype), use_safetensors=True, local_files_only=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelBroken(preset.name, f"has an unusable upscaler: {error}"[:300]) from error
    return network.to(plan.device)
