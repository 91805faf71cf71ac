"""Tiny pipelines from published configs keep all keys but widths and depths, and our code runs on them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generation import Kind, Request
from generation.models.common.preset import Preset, read_presets
from generation.models.common.registry import MemoryPlan, load
from generation.music.common import registry as music_registry
from generation.request import Music
from tests.factories import NO_MUSIC, make_request
from tests.generation.models import published_configs, shrink

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),  # inside the libraries
]
PRESETS = read_presets(tomllib.loads((published_configs.CONFIG / "models.toml").read_text(encoding="utf-8")))
PICTURES = [name for name in published_configs.names_with_configs() if name in PRESETS]
MUSIC = [name for name in published_configs.names_with_configs() if name not in PRESETS]
FEW_STEPS = 9
WIDTHS_AND_DEPTHS = {
    *("base_channels", "ch_mult", "base_dim", "decoder_base_dim", "mid_channels", "hidden_channels"),
    *("bwe_hidden_channels", "block_out_channels", "decoder_block_out_channels", "decoder_channels"),
    *("num_filters", "codebook_dim", "fsq_dim", "hidden_size", "encoder_hidden_size", "embed_dim", "dim"),
    *("d_model", "d_ff", "d_kv", "ffn_dim", "ff_dim", "model_dim", "time_dim", "intermediate_size"),
    *("num_heads", "n_heads", "n_kv_heads", "num_attention_heads", "num_key_value_heads"),
    *("num_cross_attention_heads", "num_key_value_attention_heads", "audio_num_attention_heads"),
    *("video_connector_num_attention_heads", "audio_connector_num_attention_heads"),
    *("text_dim", "text_encoder_dim", "text_hidden_dim", "in_text_dim", "in_text_dim2", "text_embed_dim"),
    *("text_embed_2_dim", "image_embed_dim", "cap_feat_dim", "caption_channels", "text_proj_in_factor"),
    *("cross_attention_dim", "audio_cross_attention_dim", "cross_attention_input_dim", "conditioning_dim"),
    *("global_states_input_dim", "projection_class_embeddings_input_dim", "projection_dim"),
    *("video_hidden_dim", "audio_hidden_dim", "out_hidden_size", "mm_embed_dim", "output_proj_dims"),
    *("depth", "num_layers", "n_layers", "num_decoder_layers", "num_hidden_layers", "layer_types"),
    *("n_refiner_layers", "num_refiner_layers", "num_text_blocks", "num_visual_blocks", "num_res_blocks"),
    *("layers_per_block", "decoder_layers_per_block", "transformer_layers_per_block"),
    *("motion_layers_per_block", "num_blocks_per_stage", "video_connector_num_layers"),
    *("audio_connector_num_layers", "num_lyric_encoder_hidden_layers", "num_timbre_encoder_hidden_layers"),
    *("vocab_size", "target_size"),  # the vocabulary is tiny too, and one model sets the size of its pictures
}


def differing_keys(published: dict[str, Any], tiny: dict[str, Any]) -> Iterator[str]:
    for key in published.keys() | tiny.keys():
        before, after = published.get(key), tiny.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differing_keys(before, after)
        elif before != after:
            yield key


def read_config(file: Path) -> dict[str, Any]:
    config = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def assert_only_sizes_changed(name: str, folder: Path) -> None:
    """`folder` holds the tiny main repository of a preset or music maker."""
    kept = published_configs.PUBLISHED / name
    tokenizers = {"tokenizer_config.json", "preprocessor_config.json"}
    for file in published_configs.read_source(name)["files"]:
        path = Path(file)
        if path.parts[0] in {"other", "not-published"} or path.name in tokenizers:
            continue
        changed = set(differing_keys(read_config(kept / file), read_config(folder / file)))
        assert changed <= WIDTHS_AND_DEPTHS, f"{name}: {file}"


def smallest_request(preset: Preset, folder: Path) -> Request:
    limits, kind = preset.limits, preset.limits.kinds[0]
    image = folder / "first.png"
    if kind is Kind.ANIMATE:
        Image.new("RGB", (90, 60), "#a04020").save(image)
    frames = {"image": 1, "modelscope": 4, "animatediff": 4}.get(preset.family, 21)
    return make_request(
        model=preset.name,
        kind=kind,
        image=str(image) if image.exists() else None,
        width=64,
        height=64,
        frames=(frames - 1) // limits.frame_step * limits.frame_step + 1,
        fps=8.0,
        steps=limits.steps if limits.steps <= FEW_STEPS else 2,  # distilled models have their own timesteps
        guidance=limits.guidance,
        music=NO_MUSIC,
    )


@pytest.mark.parametrize("name", PICTURES)
def test_every_preset_generates_with_its_published_configs(name: str, tmp_path: Path) -> None:
    preset = shrink.shrink_preset(PRESETS[name], tmp_path)
    assert_only_sizes_changed(name, Path(preset.source))
    request = smallest_request(preset, tmp_path)
    model = load(preset, MemoryPlan())
    ticks: list[tuple[int, int]] = []
    frames = model.generate_frames(request, lambda done, total: ticks.append((done, total)))
    assert frames.pixels.shape == (request.frames, 64, 64, 3)
    assert frames.pixels.std() > 0
    assert ticks[-1][0] == ticks[-1][1] == request.steps
    model.close()


@pytest.mark.parametrize("name", MUSIC)
def test_every_music_maker_composes_with_its_published_configs(name: str, tmp_path: Path) -> None:
    table = published_configs.presets()[name]
    folder = shrink.shrink_music_maker(name, tmp_path / "maker")
    assert_only_sizes_changed(name, folder)
    options = table.get("options", {}) | {"name": name, "source": str(folder), "device": "cpu", "steps": 2}
    maker = music_registry.load(table["maker"], options)
    music = Music(genre="lofi", maker=name, words="a calm piano")
    audio = maker.compose(music, 48_000, 48_000, lambda *_: None)
    assert audio.samples.shape[0] == 48_000
    assert np.abs(audio.samples).max() > 0
    maker.close()
