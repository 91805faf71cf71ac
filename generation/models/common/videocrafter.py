"""Convert a VideoCrafter2 checkpoint into a folder that the modelscope family loads.

Its UNet has the structure of diffusers' UNet3DConditionModel, with two differences that are converted: the
embedding of a fixed frame rate is added to the last bias of the time embedding, and convolutions of width 1
become linear layers. Its sampler scales the picture; a marker file in the folder selects ScaledDDIM for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]

MODEL_NAME = "videocrafter2"
MARKER_FILE = "matinee.json"
DEFAULT_FPS = 28
UNET_PREFIX, VAE_PREFIX, TEXT_ENCODER_PREFIX = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.model.",
)
RESNET_LAYER_NAMES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_CONFIG: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 1024,
    "attention_head_dim": 64,
}
PART_CONFIGS: dict[str, dict[str, Any]] = {
    "vae": {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
        "layers_per_block": 2,
        "sample_size": 512,
    },
    "text_encoder": {
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 23,
        "projection_dim": 512,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    },
}


def convert(checkpoint: Path, folder: Path, *, tokenizer: Path, fps: float = DEFAULT_FPS) -> None:
    """`tokenizer` is the tokenizer folder of any Stable Diffusion model: the checkpoint has none."""
    import diffusers  # noqa: PLC0415  (heavy)
    import transformers  # noqa: PLC0415  (heavy)

    state = _read_checkpoint(checkpoint)
    unet = diffusers.UNet3DConditionModel(**UNET_CONFIG)
    _load_weights(unet, convert_unet_weights(_strip_prefix(state, UNET_PREFIX), unet.config, fps))
    vae = diffusers.AutoencoderKL(**PART_CONFIGS["vae"])
    text_encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(**PART_CONFIGS["text_encoder"]))
    from diffusers.loaders import single_file_utils as ldm  # noqa: PLC0415  (heavy)

    _load_weights(vae, ldm.convert_ldm_vae_checkpoint(state, vae.config))
    _load_weights(
        text_encoder,
        ldm.convert_open_clip_checkpoint(text_encoder, state, prefix=TEXT_ENCODER_PREFIX),
        strict=False,
    )
    save_pipeline(
        folder,
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=transformers.CLIPTokenizer.from_pretrained(tokenizer),
    )


def save_pipeline(folder: Path, *, unet: Any, vae: Any, text_encoder: Any, tokenizer: Any) -> None:
    import diffusers  # noqa: PLC0415  (heavy)

    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    diffusers.TextToVideoSDPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler
    ).save_pretrained(folder)
    (folder / MARKER_FILE).write_text(json.dumps({"scale": {"end": 0.7, "steps": 400}}), encoding="utf-8")


def convert_unet_weights(original: Weights, config: Any, fps: float) -> Weights:
    """Rename and reshape the weights as diffusers expects them."""
    converted = {}
    remaining = {key for key in original if not key.startswith("fps_embedding.")}
    for prefix, name in name_pairs(config):
        for key in [key for key in remaining if key.startswith(prefix + ".")]:
            remaining.remove(key)
            converted[f"{name}.{_rename_resnet_layer(key.removeprefix(prefix + '.'))}"] = original[key]
    if remaining:
        raise ModelBroken(MODEL_NAME, f"has a weight that is not part of VideoCrafter2: {min(remaining)}")
    for name in ("transformer_in.proj_in.weight", "transformer_in.proj_out.weight"):
        if converted[name].ndim == 3:
            converted[name] = converted[name].squeeze(-1)
    bias = "time_embedding.linear_2.bias"
    converted[bias] = converted[bias] + _frame_rate_bias(original, fps)
    return converted


def name_pairs(config: Any) -> Iterator[tuple[str, str]]:
    """Pairs of original and diffusers module prefixes; the first pair that matches a key is used."""
    yield from (("time_embed.0", "time_embedding.linear_1"), ("time_embed.2", "time_embedding.linear_2"))
    yield from (("input_blocks.0.0", "conv_in"), ("init_attn.0", "transformer_in"))
    number, layers = 1, config.layers_per_block
    for level, kind in enumerate(config.down_block_types):
        for layer in range(layers):
            yield from _layer_name_pairs(
                f"input_blocks.{number}", f"down_blocks.{level}", layer, attention="Cross" in kind
            )
            number += 1
        if level < len(config.down_block_types) - 1:
            yield f"input_blocks.{number}.0.op", f"down_blocks.{level}.downsamplers.0.conv"
            number += 1
    yield from _layer_name_pairs("middle_block", "mid_block", 0, attention=True)
    yield "middle_block.3.temopral_conv", "mid_block.temp_convs.1"
    yield "middle_block.3", "mid_block.resnets.1"
    number = 0
    for level, kind in enumerate(config.up_block_types):
        for layer in range(layers + 1):
            yield from _layer_name_pairs(
                f"output_blocks.{number}", f"up_blocks.{level}", layer, attention="Cross" in kind
            )
            number += 1
        if level < len(config.up_block_types) - 1:
            last = 3 if "Cross" in kind else 1
            yield f"output_blocks.{number - 1}.{last}.conv", f"up_blocks.{level}.upsamplers.0.conv"
    yield from (("out.0", "conv_norm_out"), ("out.2", "conv_out"))


def _layer_name_pairs(
    original: str, converted: str, layer: int, *, attention: bool
) -> Iterator[tuple[str, str]]:
    yield (
        f"{original}.0.temopral_conv",
        f"{converted}.temp_convs.{layer}",
    )  # spelled like this in the checkpoint
    yield f"{original}.0", f"{converted}.resnets.{layer}"
    if attention:
        yield f"{original}.1", f"{converted}.attentions.{layer}"
        yield f"{original}.2", f"{converted}.temp_attentions.{layer}"


def _rename_resnet_layer(name: str) -> str:
    for original, converted in RESNET_LAYER_NAMES.items():
        if name.startswith(original + "."):
            return converted + name.removeprefix(original)
    return name


def _frame_rate_bias(original: Weights, fps: float) -> torch.Tensor:
    """The vector that the frame rate adds to every time embedding."""
    import torch  # noqa: PLC0415  (heavy)
    from diffusers.models.embeddings import get_timestep_embedding  # noqa: PLC0415  (heavy)

    first, second = (
        (original[f"fps_embedding.{at}.weight"], original[f"fps_embedding.{at}.bias"]) for at in (0, 2)
    )
    wave = get_timestep_embedding(
        torch.tensor([float(fps)]), first[0].shape[1], flip_sin_to_cos=True, downscale_freq_shift=0
    )
    hidden = torch.nn.functional.silu(torch.nn.functional.linear(wave, *first))
    return torch.nn.functional.linear(hidden, *second)[0]


def _read_checkpoint(checkpoint: Path) -> Weights:
    """Load tensors only: no code in the file is run."""
    import pickle  # noqa: PLC0415  (for its exception only)

    import torch  # noqa: PLC0415  (heavy)

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelBroken(MODEL_NAME, f"cannot be read: {error}"[:300]) from error
    state = state.get("state_dict", state)
    return {key: value.float() for key, value in state.items() if isinstance(value, torch.Tensor)}


def _strip_prefix(state: Weights, prefix: str) -> Weights:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _load_weights(part: Any, weights: Weights, *, strict: bool = True) -> None:
    try:
        part.load_state_dict(weights, strict=strict)
    except RuntimeError as error:
        raise ModelBroken(MODEL_NAME, str(error)[:300]) from error
