"""Tiny pipelines of the families whose text encoder is a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

from tests.generation.models.tiny_pipelines import LETTERS, clip, clip_tokenizer, seeded, t5

ROPE = {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default", "rope_theta": 1_000_000.0}


def gemma_tokenizer() -> Any:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "\u2581", *LETTERS]
    return transformers.GemmaTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[])


def qwen_tokenizer() -> Any:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = [*special, "\u0120", *LETTERS]
    vocab = {word: n for n, word in enumerate(words)}
    end = special[0]
    tokenizer = transformers.Qwen2Tokenizer(vocab=vocab, merges=[], unk_token=end, pad_token=end)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    return tokenizer


def ltx2(folder: Path) -> None:
    torch.manual_seed(0)
    text = transformers.Gemma3Config(
        text_config={
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
        },
        vision_config={
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": 14,
            "patch_size": 14,
        },
        mm_tokens_per_image=1,
    )
    encoder = transformers.Gemma3ForConditionalGeneration(text)
    transformer = seeded(
        diffusers.LTX2VideoTransformer3DModel,
        in_channels=4,
        out_channels=4,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=2,
        qk_norm="rms_norm_across_heads",
        caption_channels=32,
        rope_double_precision=False,
        rope_type="split",
    )
    connectors = seeded(
        LTX2TextConnectors,
        caption_channels=32,
        text_proj_in_factor=3,
        video_connector_num_attention_heads=4,
        video_connector_attention_head_dim=8,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=None,
        audio_connector_num_attention_heads=4,
        audio_connector_attention_head_dim=8,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=None,
        connector_rope_base_seq_len=32,
        rope_theta=10000.0,
        rope_double_precision=False,
        causal_temporal_positioning=False,
        rope_type="split",
    )
    vae = seeded(
        diffusers.AutoencoderKLLTX2Video,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    audio_vae = seeded(
        diffusers.AutoencoderKLLTX2Audio,
        base_channels=4,
        output_channels=2,
        ch_mult=(1,),
        num_res_blocks=1,
        attn_resolutions=None,
        in_channels=2,
        resolution=32,
        latent_channels=2,
        norm_type="pixel",
        causality_axis="height",
        dropout=0.0,
        mid_block_add_attention=False,
        sample_rate=16000,
        mel_hop_length=160,
        is_causal=True,
        mel_bins=8,
    )
    vocoder = seeded(
        LTX2Vocoder,
        in_channels=16,
        hidden_channels=32,
        out_channels=2,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        leaky_relu_negative_slope=0.1,
        output_sampling_rate=16000,
    )
    diffusers.LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        audio_vae=audio_vae,
        text_encoder=encoder,
        tokenizer=gemma_tokenizer(),
        connectors=connectors,
        transformer=transformer,
        vocoder=vocoder,
    ).save_pretrained(folder)


def sana(folder: Path) -> None:
    config = transformers.Gemma2Config(
        head_dim=16,
        hidden_size=8,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=1,
        num_key_value_heads=2,
        vocab_size=64,
        attn_implementation="eager",
    )
    transformer = seeded(
        diffusers.SanaVideoTransformer3DModel,
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=8,
        mlp_ratio=2.5,
        attention_bias=False,
        sample_size=8,
        patch_size=(1, 2, 2),
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    vae = seeded(
        diffusers.AutoencoderKLWan,
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    torch.manual_seed(0)
    diffusers.SanaVideoPipeline(
        tokenizer=gemma_tokenizer(),
        text_encoder=transformers.Gemma2Model(config),
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)


def kandinsky5(folder: Path, *, image_to_video: bool = False) -> None:
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 64,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": ROPE,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
        vision_end_token_id=3,
        vision_start_token_id=4,
        vision_token_id=5,
        image_token_id=6,
        video_token_id=7,
    )
    encoder = transformers.Qwen2_5_VLForConditionalGeneration(config)
    vae = seeded(
        diffusers.AutoencoderKLHunyuanVideo,
        in_channels=3,
        out_channels=3,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    )
    transformer = seeded(
        diffusers.Kandinsky5Transformer3DModel,
        in_visual_dim=4,
        in_text_dim=16,
        in_text_dim2=32,
        time_dim=32,
        out_visual_dim=4,
        patch_size=(1, 2, 2),
        model_dim=48,
        ff_dim=128,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(8, 8, 8),
        visual_cond=image_to_video,
    )
    kind = diffusers.Kandinsky5I2VPipeline if image_to_video else diffusers.Kandinsky5T2VPipeline
    kind(
        transformer=transformer,
        vae=vae,
        text_encoder=encoder,
        tokenizer=qwen_tokenizer(),
        text_encoder_2=clip(),
        tokenizer_2=clip_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    ).save_pretrained(folder)


def hunyuan15(folder: Path, *, image_to_video: bool = False) -> None:
    transformer = seeded(
        diffusers.HunyuanVideo15Transformer3DModel,
        in_channels=9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_refiner_layers=1,
        mlp_ratio=2.0,
        patch_size=1,
        patch_size_t=1,
        text_embed_dim=16,
        text_embed_2_dim=32,
        image_embed_dim=12,
        rope_axes_dim=(2, 2, 4),
        target_size=16,
        task_type="i2v" if image_to_video else "t2v",
    )
    vae = seeded(
        diffusers.AutoencoderKLHunyuanVideo15,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(16, 16),
        layers_per_block=1,
        spatial_compression_ratio=4,
        temporal_compression_ratio=2,
        downsample_match_channel=False,
        upsample_match_channel=False,
    )
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLTextConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        rope_scaling=ROPE,
    )
    kind = (
        diffusers.HunyuanVideo15ImageToVideoPipeline if image_to_video else diffusers.HunyuanVideo15Pipeline
    )
    kind(
        **(siglip_parts() if image_to_video else {}),
        text_encoder=transformers.Qwen2_5_VLTextModel(config),
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=t5(),
        tokenizer_2=transformers.ByT5Tokenizer(),
        guider=diffusers.guiders.ClassifierFreeGuidance(guidance_scale=3.0),
    ).save_pretrained(folder)


def siglip_parts() -> dict[str, Any]:
    """The image encoder and its preprocessor."""
    torch.manual_seed(0)
    config = transformers.SiglipVisionConfig(
        hidden_size=12,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    size = {"height": 16, "width": 16}
    return {
        "image_encoder": transformers.SiglipVisionModel(config),
        "feature_extractor": transformers.SiglipImageProcessor(size=size),
    }


def hunyuan15_i2v(folder: Path) -> None:
    hunyuan15(folder, image_to_video=True)


def kandinsky5_i2v(folder: Path) -> None:
    kandinsky5(folder, image_to_video=True)
