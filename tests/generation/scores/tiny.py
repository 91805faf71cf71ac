"""Tiny random weights of the neural music makers, saved as folders that the ordinary loading takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

LETTERS = " ,.-0123456789abcdefghijklmnopqrstuvwxyz"


def tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -1.0)]
    return transformers.T5Tokenizer(vocab=pieces + [(letter, -2.0) for letter in LETTERS], extra_ids=0)


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
    return _saved(model, folder)


def save_melody(folder: Path) -> Path:
    torch.manual_seed(0)
    parts = _configs(stereo=False, layers=2)
    parts["decoder"] = transformers.MusicgenMelodyDecoderConfig(**parts["decoder"])
    config = transformers.MusicgenMelodyConfig(**parts, num_chroma=12, chroma_length=20)
    return _saved(transformers.MusicgenMelodyForConditionalGeneration(config), folder)


def _saved(model: Any, folder: Path) -> Path:
    for weight in model.decoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.generation_config.decoder_start_token_id = 64
    model.generation_config.pad_token_id = 64
    model.generation_config.bos_token_id = 64
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
