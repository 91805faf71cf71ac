"""Tiny random weights of the neural music makers, saved as folders that are loaded like real ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel

PUBLISHED = Path(__file__).parents[1] / "models" / "published"
LETTERS = " ,.-0123456789abcdefghijklmnopqrstuvwxyz"


def tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -1.0)]
    return transformers.T5Tokenizer(
        vocab=pieces + [(letter, -2.0) for letter in LETTERS], extra_ids=0, model_max_length=128
    )


def _configs(*, stereo: bool, layers: int) -> dict[str, Any]:
    text = transformers.T5Config(
        vocab_size=64,
        d_model=12,
        d_kv=4,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        relative_attention_num_buckets=8,
    )
    codec = transformers.EncodecConfig(
        sampling_rate=32_000,
        target_bandwidths=[2.2],
        num_filters=4,
        hidden_size=8,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=64,
        codebook_dim=8,
        num_lstm_layers=1,
        num_residual_layers=1,
        normalize=False,
        use_causal_conv=False,
    )
    books = 8 if stereo else 4
    decoder: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "ffn_dim": 32,
        "num_codebooks": books,
        "audio_channels": 2 if stereo else 1,
        "pad_token_id": 64,
        "bos_token_id": 64,
        "max_position_embeddings": 64,
    }
    return {"text_encoder": text, "audio_encoder": codec, "decoder": decoder}


def save_musicgen(folder: Path, *, stereo: bool = False, layers: int = 2) -> Path:
    torch.manual_seed(0)
    parts = _configs(stereo=stereo, layers=layers)
    parts["decoder"] = transformers.MusicgenDecoderConfig(**parts["decoder"])
    model = transformers.MusicgenForConditionalGeneration(transformers.MusicgenConfig(**parts))
    return _save(model, folder)


def save_melody(folder: Path) -> Path:
    torch.manual_seed(0)
    parts = _configs(stereo=False, layers=2)
    parts["decoder"] = transformers.MusicgenMelodyDecoderConfig(**parts["decoder"])
    config = transformers.MusicgenMelodyConfig(**parts, num_chroma=12, chroma_length=20)
    return _save(transformers.MusicgenMelodyForConditionalGeneration(config), folder)


def _save(model: Any, folder: Path) -> Path:
    for weight in model.decoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.generation_config.decoder_start_token_id = 64
    model.generation_config.pad_token_id = 64
    model.generation_config.bos_token_id = 64
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tiny_autoencoder() -> Any:
    torch.manual_seed(0)
    return diffusers.AutoencoderOobleck(
        encoder_hidden_size=4,
        downsampling_ratios=[4, 8, 60],
        channel_multiples=[1, 2, 2],
        decoder_channels=4,
        decoder_input_channels=8,
        audio_channels=2,
        sampling_rate=48_000,
    )


def save_acestep(folder: Path) -> Path:
    torch.manual_seed(0)
    text = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    )
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 32}
    transformer = diffusers.AceStepTransformer1DModel(
        hidden_size=16,
        num_hidden_layers=2,
        in_channels=24,
        audio_acoustic_hidden_dim=8,
        sliding_window=16,
        is_turbo=True,
        **heads,
    )
    conditions = AceStepConditionEncoder(
        hidden_size=16,
        text_hidden_dim=16,
        timbre_hidden_dim=8,
        num_lyric_encoder_hidden_layers=1,
        num_timbre_encoder_hidden_layers=1,
        sliding_window=16,
        **heads,
    )
    pipe = diffusers.AceStepPipeline(
        vae=tiny_autoencoder(),
        text_encoder=text,
        tokenizer=tokenizer(),
        transformer=transformer,
        condition_encoder=conditions,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
    pipe.save_pretrained(folder)
    return folder


def save_stableaudio(folder: Path) -> Path:
    torch.manual_seed(0)
    text = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    )
    transformer = diffusers.StableAudioDiTModel(
        sample_size=250,
        in_channels=8,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        num_key_value_attention_heads=2,
        out_channels=8,
        cross_attention_dim=8,
        time_proj_dim=8,
        global_states_input_dim=16,
        cross_attention_input_dim=8,
    )
    pipe = diffusers.StableAudioPipeline(
        vae=tiny_autoencoder(),
        text_encoder=text,
        projection_model=StableAudioProjectionModel(
            text_encoder_dim=8, conditioning_dim=8, min_value=0, max_value=32
        ),
        tokenizer=tokenizer(),
        transformer=transformer,
        scheduler=diffusers.EDMDPMSolverMultistepScheduler(),
    )
    pipe.save_pretrained(folder)
    _name_published_scheduler(folder)
    return folder


def _name_published_scheduler(folder: Path) -> None:
    """Give the folder the scheduler of stable-audio-open-1.0; its class cannot be imported here."""
    published = PUBLISHED / "stable-audio-open"
    shutil.copy(published / "scheduler" / "scheduler_config.json", folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = json.loads((published / "model_index.json").read_text())["scheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
