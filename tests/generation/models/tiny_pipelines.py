"""Pipelines of the families with tiny random weights, saved as folders that are loaded like real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler

LETTERS = " ,." + ascii_lowercase


def seeded(make: Callable[..., Any], **config: Any) -> Any:
    """Build a module with seeded weights; weights that start at zero, like gates, get random values too."""
    torch.manual_seed(0)
    module = make(**config)
    for weight in module.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return module


def t5_tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -1.0)]
    return transformers.T5Tokenizer(vocab=pieces + [(letter, -2.0) for letter in LETTERS], extra_ids=0)


def t5(width: int = 32) -> Any:
    config = transformers.T5Config(
        vocab_size=64,
        d_model=width,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
    )
    torch.manual_seed(0)
    return transformers.T5EncoderModel(config)


def clip_tokenizer() -> Any:
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    vocab = {word: number for number, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def clip(width: int = 32, **more: Any) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=128,
        hidden_size=width,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=width,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **more,
    )
    torch.manual_seed(0)
    return transformers.CLIPTextModel(config)


def autoencoder() -> Any:
    return seeded(
        AutoencoderKL,
        block_out_channels=(8, 8),
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        sample_size=32,
        norm_num_groups=2,
    )


def ddim() -> Any:
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
    )


def ltx_parts() -> dict[str, Any]:
    transformer = seeded(
        diffusers.LTXVideoTransformer3DModel,
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=2,
        caption_channels=32,
    )
    vae = seeded(
        diffusers.AutoencoderKLLTXVideo,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    return {
        "transformer": transformer,
        "vae": vae,
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "text_encoder": t5(),
        "tokenizer": t5_tokenizer(),
    }


def ltx(folder: Path) -> None:
    diffusers.LTXPipeline(**ltx_parts()).save_pretrained(folder)


def modelscope(folder: Path) -> None:
    unet = seeded(
        diffusers.UNet3DConditionModel,
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=2,
    )
    diffusers.TextToVideoSDPipeline(
        unet=unet, vae=autoencoder(), scheduler=ddim(), text_encoder=clip(), tokenizer=clip_tokenizer()
    ).save_pretrained(folder)


def wan(folder: Path, *, expand_timesteps: bool = True) -> None:
    vae = seeded(
        diffusers.AutoencoderKLWan,
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    transformer = seeded(
        diffusers.WanTransformer3DModel,
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    diffusers.WanPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        transformer=transformer,
        expand_timesteps=expand_timesteps,
    ).save_pretrained(folder)


def wan_text_only(folder: Path) -> None:
    """Wan weights without image conditioning."""
    wan(folder, expand_timesteps=False)


def stable_diffusion(folder: Path) -> None:
    unet = seeded(
        diffusers.UNet2DConditionModel,
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=2,
    )
    diffusers.StableDiffusionPipeline(
        unet=unet,
        vae=autoencoder(),
        scheduler=ddim(),
        text_encoder=clip(),
        tokenizer=clip_tokenizer(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def motion_adapter(folder: Path) -> None:
    seeded(
        diffusers.MotionAdapter,
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_norm_num_groups=2,
        motion_num_attention_heads=4,
    ).save_pretrained(folder)
