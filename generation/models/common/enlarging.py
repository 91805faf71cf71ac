"""LTX's own way to a larger clip: its latents are enlarged by a network, then lightly painted over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken
from generation.models.common import weights
from generation.models.common.opening import last_frames

if TYPE_CHECKING:
    from PIL import Image

    from generation.models.plan import Plan
    from generation.models.preset import Preset
    from generation.request import Request

STRENGTH = 0.4
"""How much of the way from noise the enlarged picture is painted again."""
GRID = 32


def enlarged(pipe: Any, preset: Preset, plan: Plan, request: Request, seed: Any) -> dict[str, Any]:
    """What the conditioned pipeline is called with to repaint the request's clip at the request's size."""
    from diffusers import LTXLatentUpsamplePipeline  # noqa: PLC0415  (heavy)

    step = pipe.vae_temporal_compression_ratio
    frames = (request.frames - 1) // step * step + 1
    small = tuple(max(GRID, side // 2 // GRID * GRID) for side in (request.width, request.height))
    upsampler = LTXLatentUpsamplePipeline(vae=pipe.vae, latent_upsampler=_network(preset, plan))
    latents = upsampler(
        video=_fitted(Path(request.source or ""), frames, small),
        width=small[0],
        height=small[1],
        generator=seed,
        output_type="latent",
    ).frames
    return {
        "latents": latents,
        "width": small[0] * 2,
        "height": small[1] * 2,
        "num_frames": frames,
        "denoise_strength": STRENGTH,
    }


def _fitted(source: Path, frames: int, size: tuple[int, ...]) -> list[Image.Image]:
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    found = last_frames(source, frames)
    found += found[-1:] * (frames - len(found))
    return [ImageOps.fit(picture, (size[0], size[1]), Image.Resampling.LANCZOS) for picture in found]


def _network(preset: Preset, plan: Plan) -> Any:
    import torch  # noqa: PLC0415  (heavy)
    from diffusers.pipelines.ltx.modeling_latent_upsampler import (  # noqa: PLC0415  (heavy)
        LTXLatentUpsamplerModel,
    )

    folder = weights.locate(preset.name, preset.options["upscaler"])
    inner = folder / "latent_upsampler"
    part = inner if inner.is_dir() else folder
    for file in part.glob("*.safetensors"):
        weights.check_file(preset.name, file)
    try:
        network = LTXLatentUpsamplerModel.from_pretrained(
            part, dtype=getattr(torch, plan.dtype), use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelBroken(preset.name, f"its upscaler: {error}"[:300]) from error
    return network.to(plan.device)
