"""Count the live bytes of a denoising step and of a decode at the published configs, without any weights.

Everything runs on fake tensors, which have shapes and no values. Not counted: the workspaces of the GPU's
libraries, its context, and gaps between allocations.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from generation.models.common.preset import Preset
from tests.generation.models import published_configs
from tests.generation.models.published_configs import Component

HALF = torch.bfloat16
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "image_encoder", "connectors")
DENOISERS = ("transformer", "unet")
STYLE = "other/emilianJR--epiCRealism"


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # untyped in torch
    """Counts the bytes of all tensors that are created while it is active, and their highest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.now = self.peak = 0
        self._counted: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        before = {id(storage) for storage in _storages((args, kwargs or {}))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if id(storage) not in before and storage not in self._counted:
                self._counted.add(storage)
                size = storage.nbytes()
                self.now += size
                weakref.finalize(storage, self._release, size)
        self.peak = max(self.peak, self.now)
        return result

    def _release(self, size: int) -> None:
        self.now -= size


def _storages(tree: Any) -> Iterator[Any]:
    for leaf in tree_leaves(tree):
        if isinstance(leaf, torch.Tensor):
            yield leaf.untyped_storage()


def peak_gb(run: Callable[[], object]) -> float:
    with torch.no_grad(), LiveBytes() as live:
        kept = run()  # what it returns is alive at the end
        del kept
    return float(live.peak / 1e9)


@dataclass(frozen=True)
class Size:
    """The pictures of a request."""

    width: int
    height: int
    frames: int
    fps: float
    guided: bool

    def latent(self, spatial: int, temporal: int = 1) -> tuple[int, int, int]:
        """Frames, height and width of the latents."""
        return (self.frames - 1) // temporal + 1, self.height // spatial, self.width // spatial


def main_components(name: str) -> dict[str, Component]:
    """The components of a preset's pipeline; of AnimateDiff, those of one style."""
    folder = published_configs.PUBLISHED / name
    repository = folder / STYLE if name == "animatediff-lightning" else folder
    return {part.name: part for part in published_configs.components(repository)}


def weight_gb(name: str, *, vae_float32: bool) -> dict[str, float]:
    """Gigabytes of each component that has weights, in half precision, but for a VAE in float32."""
    sizes = {}
    for part, component in main_components(name).items():
        unused = (*published_configs.CONFIG_FILES, *published_configs.WITHOUT_WEIGHTS, "safety_checker")
        if part in unused or not component.config_file.is_file():
            continue
        each = 4 if part == "vae" and vae_float32 else 2
        sizes[part] = published_configs.count_parameters(published_configs.build_component(component)) * each
    if name == "animatediff-lightning":
        import diffusers  # noqa: PLC0415  (heavy)

        config = read_config(name, "not-published/motion_adapter.json")
        adapter = published_configs.build_on_meta(diffusers.MotionAdapter, config)
        sizes["unet"] += published_configs.count_parameters(adapter) * 2
    return sizes


def largest_layer_gb(name: str) -> float:
    """The largest single layer, which is what layer by layer loading holds at once."""
    largest = 0
    for part, component in main_components(name).items():
        if part in (*TEXT_ENCODERS, *DENOISERS) and component.config_file.is_file():
            module = published_configs.build_component(component)
            for layer in module.modules():
                own = sum(weight.numel() for weight in layer.parameters(recurse=False))
                largest = max(largest, own)
    return largest * 2 / 1e9


@contextmanager
def default_type(dtype: Any) -> Iterator[None]:
    """Build modules in this dtype."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def read_config(name: str, file: str) -> dict[str, Any]:
    config = json.loads((published_configs.PUBLISHED / name / file).read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


class PipelineCount:
    """The denoiser and the VAE of a preset as fake tensors."""

    def __init__(self, preset: Preset) -> None:
        self.preset, self.mode = preset, FakeTensorMode(allow_non_fake_inputs=True)
        self.parts = main_components(preset.name)
        self.vae_type = torch.float32 if preset.options.get("vae_float32") else HALF
        with self.mode:
            denoiser = next(self.parts[part] for part in DENOISERS if part in self.parts)
            with default_type(HALF):
                animated = preset.family == "animatediff"
                self.denoiser = self._with_motion(denoiser) if animated else self._build(denoiser)
            with default_type(self.vae_type):
                self.vae = self._build(self.parts["vae"])

    def _build(self, component: Component) -> Any:
        config = json.loads(component.config_file.read_text(encoding="utf-8"))
        return component.load_class().from_config(config).eval()

    def _with_motion(self, unet: Component) -> Any:
        """The UNet of AnimateDiff, as `UNetMotionModel.from_unet2d` configures it."""
        import diffusers  # noqa: PLC0415  (heavy)

        config = json.loads(unet.config_file.read_text(encoding="utf-8"))
        defaults = diffusers.MotionAdapter.from_config({}).config
        kept = ("in_channels", "out_channels", "block_out_channels", "cross_attention_dim", "sample_size")
        return diffusers.UNetMotionModel(
            **{key: config[key] for key in kept},
            num_attention_heads=config["attention_head_dim"],
            motion_num_attention_heads=defaults.motion_num_attention_heads,
            motion_max_seq_length=defaults.motion_max_seq_length,
            use_motion_mid_block=defaults.use_motion_mid_block,
        ).eval()

    def denoise_gb(self, size: Size) -> float:
        with self.mode:
            return peak_gb(lambda: getattr(self, f"_{self.preset.family}")(size))

    def decode_gb(self, size: Size, *, tiled: bool) -> float:
        """The peak of the decode of a clip."""
        if hasattr(self.vae, "disable_tiling"):
            self.vae.disable_tiling()
        if not tiled:
            return self._decode_gb(size)
        if self.parts["vae"].class_name == "AutoencoderKLWan":
            return self._decode_in_tiles_gb(size)
        self.vae.enable_tiling()
        if hasattr(self.vae, "enable_slicing"):
            self.vae.enable_slicing()
        counted = self._decode_gb(size)
        if hasattr(self.vae, "disable_slicing"):
            self.vae.disable_slicing()
        return counted

    def _decode_in_tiles_gb(self, size: Size) -> float:
        """An upper bound, because to decode every tile on fake tensors takes minutes.

        It is the peak of one tile, and beside it all tiles and twice the finished video.
        """
        tile, stride = self.vae.tile_sample_min_height, self.vae.tile_sample_stride_height
        if size.width <= tile and size.height <= tile:
            return self._decode_gb(size)
        one = replace(size, width=min(tile, size.width), height=min(tile, size.height))
        across, down = (-(-side // stride) for side in (size.width, size.height))
        each = 3 * size.frames * self.vae_type.itemsize / 1e9
        tiles = across * down * one.width * one.height * each
        return self._decode_gb(one) + float(tiles + 2 * size.width * size.height * each)

    def _decode_gb(self, size: Size) -> float:
        with self.mode:
            return peak_gb(lambda: self._decode(size))

    def _decode(self, size: Size) -> Any:
        family = self.preset.family
        if family in {"image", "modelscope", "animatediff"}:
            channels, (frames, high, wide) = self.vae.config.latent_channels, size.latent(8)
            # AnimateDiff decodes 16 frames at a time, ModelScope all of them at once.
            at_once = min(frames, 16) if family == "animatediff" else frames
            done = self._empty(frames - at_once, 3, size.height, size.width)
            pictures = self.vae.decode(self._empty(at_once, channels, high, wide, dtype=self.vae_type)).sample
            return torch.cat([done, pictures]).float()
        spatial, temporal, channels = self._compression()
        frames, high, wide = size.latent(spatial, temporal)
        latents = self._empty(1, channels, frames, high, wide, dtype=self.vae_type)
        arguments: list[Any] = [latents]
        if family in {"ltx", "ltx2"}:
            timed = self.vae.config.timestep_conditioning
            arguments.append(self._empty(1) if timed else None)
        video = self.vae.decode(*arguments, return_dict=False)[0]
        return video.float() if family != "wan" else video

    def _compression(self) -> tuple[int, int, int]:
        """Spatial and temporal compression of the VAE, and its channels."""
        config = self.vae.config
        if self.preset.family in {"ltx", "ltx2"}:
            return (
                self.vae.spatial_compression_ratio,
                self.vae.temporal_compression_ratio,
                config.latent_channels,
            )
        if self.preset.family in {"wan", "sana"}:
            spatial = getattr(config, "scale_factor_spatial", None) or 8
            return spatial, getattr(config, "scale_factor_temporal", None) or 4, config.z_dim
        if self.preset.family == "hunyuan15":
            return (
                self.vae.spatial_compression_ratio,
                self.vae.temporal_compression_ratio,
                config.latent_channels,
            )
        return 8, 4, config.latent_channels

    def _empty(self, *shape: int, dtype: Any = HALF) -> Any:
        return torch.empty(shape, dtype=dtype)

    def _ltx(self, size: Size) -> Any:
        frames, high, wide = size.latent(32, 8)
        batch, config = 1 + size.guided, self.denoiser.config
        return self.denoiser(
            hidden_states=self._empty(batch, frames * high * wide, config.in_channels),
            encoder_hidden_states=self._empty(batch, 256, config.caption_channels),
            timestep=self._empty(batch, frames * high * wide, 1, dtype=torch.float32).squeeze(-1),
            encoder_attention_mask=torch.ones(batch, 256, dtype=torch.long),
            video_coords=self._empty(batch, 3, frames * high * wide, dtype=torch.float32),
            return_dict=False,
        )

    def _ltx2(self, size: Size) -> Any:
        frames, high, wide = size.latent(32, 8)
        batch, config = 1 + size.guided, self.denoiser.config
        sounds = round(size.frames / size.fps * 25)  # 16,000 samples, 160 a hop, 4 hops a latent
        projected = config.use_prompt_embeddings
        widths = (config.caption_channels,) * 2 if projected else self._connected_widths()
        return self.denoiser(
            hidden_states=self._empty(batch, frames * high * wide, config.in_channels),
            audio_hidden_states=self._empty(batch, sounds, config.audio_in_channels),
            encoder_hidden_states=self._empty(batch, 1024, widths[0]),
            audio_encoder_hidden_states=self._empty(batch, 1024, widths[1]),
            timestep=self._empty(batch, dtype=torch.float32),
            sigma=self._empty(batch, dtype=torch.float32),
            encoder_attention_mask=torch.ones(batch, 1024, dtype=torch.long),
            audio_encoder_attention_mask=torch.ones(batch, 1024, dtype=torch.long),
            num_frames=frames,
            height=high,
            width=wide,
            fps=size.fps,
            audio_num_frames=sounds,
            return_dict=False,
        )

    def _connected_widths(self) -> tuple[int, int]:
        config = self.denoiser.config
        return config.cross_attention_dim, config.audio_cross_attention_dim

    def _wan(self, size: Size) -> Any:
        spatial, temporal, channels = self._compression()
        frames, high, wide = size.latent(spatial, temporal)
        tokens = frames * high * wide // 4
        expands = self.denoiser.config.in_channels > 16  # Wan 2.2, 5B has a timestep for every token
        return self.denoiser(
            hidden_states=self._empty(1, channels, frames, high, wide),
            timestep=self._empty(1, tokens, dtype=torch.float32) if expands else self._empty(1),
            encoder_hidden_states=self._empty(1, 512, self.denoiser.config.text_dim),
            return_dict=False,
        )

    def _sana(self, size: Size) -> Any:
        spatial, temporal, channels = self._compression()
        batch = 1 + size.guided
        return self.denoiser(
            self._empty(batch, channels, *size.latent(spatial, temporal)),
            encoder_hidden_states=self._empty(batch, 300, self.denoiser.config.caption_channels),
            encoder_attention_mask=torch.ones(batch, 300, dtype=torch.long),
            timestep=self._empty(batch, dtype=torch.float32),
            return_dict=False,
        )

    def _kandinsky5(self, size: Size) -> Any:
        frames, high, wide = size.latent(8, 4)
        config = self.denoiser.config
        channels = config.in_visual_dim * 2 + 1 if config.visual_cond else config.in_visual_dim
        return self.denoiser(
            hidden_states=self._empty(1, frames, high, wide, channels),
            encoder_hidden_states=self._empty(1, 512, config.in_text_dim),
            pooled_projections=self._empty(1, config.in_text_dim2),
            timestep=self._empty(1),
            visual_rope_pos=[torch.arange(frames), torch.arange(high // 2), torch.arange(wide // 2)],
            text_rope_pos=torch.arange(512),
        )

    def _hunyuan15(self, size: Size) -> Any:
        spatial, temporal, _ = self._compression()
        config = self.denoiser.config
        return self.denoiser(
            hidden_states=self._empty(1, config.in_channels, *size.latent(spatial, temporal)),
            timestep=self._empty(1),
            encoder_hidden_states=self._empty(1, 1000, config.text_embed_dim),
            encoder_attention_mask=torch.ones(1, 1000, dtype=torch.long),
            encoder_hidden_states_2=self._empty(1, 256, config.text_embed_2_dim),
            encoder_attention_mask_2=torch.ones(1, 256, dtype=torch.long),
            image_embeds=self._empty(1, 729, config.image_embed_dim),
            return_dict=False,
        )

    def _modelscope(self, size: Size) -> Any:
        batch = 1 + size.guided
        latents = self._empty(batch, 4, *size.latent(8))
        text = self._empty(batch, 77, self.denoiser.config.cross_attention_dim)
        return self.denoiser(latents, self._empty(1), encoder_hidden_states=text, return_dict=False)

    _animatediff = _modelscope

    def _image(self, size: Size) -> Any:
        batch = 1 + size.guided
        _, high, wide = size.latent(8)
        if not hasattr(self.denoiser.config, "cross_attention_dim"):
            pictures = [self._empty(16, 1, high, wide) for _ in range(batch)]
            texts = [self._empty(512, self.denoiser.config.cap_feat_dim) for _ in range(batch)]
            return self.denoiser(pictures, self._empty(batch), texts, return_dict=False)
        added = None
        if self.denoiser.config.addition_embed_type == "text_time":
            added = {"text_embeds": self._empty(batch, 1280), "time_ids": self._empty(batch, 6)}
        return self.denoiser(
            self._empty(batch, 4, high, wide),
            self._empty(1),
            encoder_hidden_states=self._empty(batch, 77, self.denoiser.config.cross_attention_dim),
            added_cond_kwargs=added,
            return_dict=False,
        )
