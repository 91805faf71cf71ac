"""Tiny pipelines from published configs: only widths, depths and one size change, every other key is kept.

`shrink_preset` writes the folders of a preset's repositories, with seeded random weights and tiny
vocabularies, and returns the preset for them. Its code then runs on what the repositories really declare.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import save_file

from generation.models.common.preset import Preset
from tests.generation.models import published_configs, tiny_llm_pipelines, tiny_pipelines
from tests.generation.models.published_configs import CONFIG_FILES, WITHOUT_WEIGHTS, Component

T5_WIDTH = CLIP_WIDTH = GEMMA_WIDTH = QWEN3_WIDTH = SIGLIP_WIDTH = 32
QWEN_VL_WIDTH = 256  # two heads of 128: the published sections of its rotary embedding need that size
VOCABULARY = 384  # more than any tiny tokenizer has tokens

Changes = Mapping[str, Any]
"""New values by key; `a.b` is the key `b` of the table `a`."""

T5 = {
    "d_model": T5_WIDTH,
    "d_ff": 64,
    "d_kv": 8,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "vocab_size": VOCABULARY,
}
CLIP = {
    "hidden_size": CLIP_WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "projection_dim": CLIP_WIDTH,
    "vocab_size": VOCABULARY,
}
QWEN_VL_TEXT = {
    "hidden_size": QWEN_VL_WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 3,
    "vocab_size": VOCABULARY,
}
QWEN_VL_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": QWEN_VL_WIDTH,
}
QWEN3 = {
    "hidden_size": QWEN3_WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 4,
    "vocab_size": VOCABULARY,
}
GEMMA = {
    "hidden_size": GEMMA_WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 6,  # one layer of six attends to everything
    "vocab_size": VOCABULARY,
}
SIGLIP = {
    "hidden_size": SIGLIP_WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
}
ACE_STEP_ENCODER = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
LTX2_CAPTION = {"caption_channels": GEMMA_WIDTH}


def nested(prefix: str, changes: Changes) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in changes.items()}


FIXED: dict[str, Changes] = {
    "T5EncoderModel": T5,
    "UMT5EncoderModel": T5,
    "CLIPTextModel": CLIP,
    "CLIPTextModelWithProjection": CLIP,
    "Qwen2_5_VLForConditionalGeneration": QWEN_VL_TEXT
    | nested("text_config", QWEN_VL_TEXT)
    | nested("vision_config", QWEN_VL_VISION),
    "Qwen2_5_VLTextModel": QWEN_VL_TEXT,
    "Qwen3Model": QWEN3,
    "Gemma2Model": GEMMA,
    "Gemma3ForConditionalGeneration": nested("text_config", GEMMA) | nested("vision_config", SIGLIP),
    "Gemma4UnifiedForConditionalGeneration": nested("text_config", GEMMA)
    | {"vision_config.mm_embed_dim": GEMMA_WIDTH, "vision_config.output_proj_dims": GEMMA_WIDTH},
    "SiglipVisionModel": SIGLIP,
    "LTXVideoTransformer3DModel": {
        "num_layers": 2,
        "num_attention_heads": 2,
        "caption_channels": T5_WIDTH,
    },
    "LTX2VideoTransformer3DModel": LTX2_CAPTION
    | {
        "num_layers": 2,
        "num_attention_heads": 2,
        "cross_attention_dim": 256,
        "audio_num_attention_heads": 2,
        "audio_cross_attention_dim": 128,
    },
    "LTX2TextConnectors": LTX2_CAPTION
    | {
        "text_proj_in_factor": GEMMA["num_hidden_layers"] + 1,
        "video_connector_num_attention_heads": 2,
        "video_connector_num_layers": 1,
        "video_hidden_dim": 256,
        "audio_connector_num_attention_heads": 2,
        "audio_connector_num_layers": 1,
        "audio_hidden_dim": 128,
    },
    "AutoencoderKLLTX2Audio": {"ch_mult": [1, 1, 1], "num_res_blocks": 1},  # its statistics fix base_channels
    "LTX2VocoderWithBWE": {"hidden_channels": 128, "bwe_hidden_channels": 64},
    "LTXLatentUpsamplerModel": {"mid_channels": 32, "num_blocks_per_stage": 1},
    "WanTransformer3DModel": {
        "num_layers": 2,
        "num_attention_heads": 2,
        "ffn_dim": 64,
        "text_dim": T5_WIDTH,
    },
    "AutoencoderKLWan": {"base_dim": 8, "decoder_base_dim": 8, "num_res_blocks": 1},
    "SanaVideoTransformer3DModel": {
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_dim": 224,
        "caption_channels": GEMMA_WIDTH,
    },
    "Kandinsky5Transformer3DModel": {
        "model_dim": 128,
        "ff_dim": 128,
        "time_dim": 32,
        "num_text_blocks": 1,
        "num_visual_blocks": 2,
        "in_text_dim": QWEN_VL_WIDTH,
        "in_text_dim2": CLIP_WIDTH,
    },
    "AutoencoderKLHunyuanVideo": {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
    "HunyuanVideo15Transformer3DModel": {
        "num_layers": 2,
        "num_refiner_layers": 1,
        "num_attention_heads": 2,
        "text_embed_dim": QWEN_VL_WIDTH,
        "text_embed_2_dim": T5_WIDTH,
        "image_embed_dim": SIGLIP_WIDTH,
        "target_size": 64,  # with a first picture the pipeline generates this size, whatever is requested
    },
    "AutoencoderKLHunyuanVideo15": {"block_out_channels": [16, 32, 64, 64, 64], "layers_per_block": 1},
    "ZImageTransformer2DModel": {
        "dim": 256,
        "n_heads": 2,
        "n_kv_heads": 2,
        "n_layers": 2,
        "n_refiner_layers": 1,
        "cap_feat_dim": QWEN3_WIDTH,
    },
    "AutoencoderKL": {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
    "UNet3DConditionModel": {
        "block_out_channels": [64, 64, 64, 64],
        "layers_per_block": 1,
        "cross_attention_dim": CLIP_WIDTH,
    },
    "MotionAdapter": {"block_out_channels": [32, 64, 64, 64], "motion_layers_per_block": 1},
    "AceStepTransformer1DModel": {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_hidden_layers": 2,
        "encoder_hidden_size": 64,
    },
    "AceStepConditionEncoder": ACE_STEP_ENCODER
    | {
        "num_lyric_encoder_hidden_layers": 1,
        "num_timbre_encoder_hidden_layers": 1,
        "text_hidden_dim": QWEN3_WIDTH,
    },
    "AceStepAudioTokenizer": ACE_STEP_ENCODER | {"fsq_dim": 64},
    "AceStepAudioTokenDetokenizer": ACE_STEP_ENCODER,
    "AutoencoderOobleck": {"encoder_hidden_size": 8, "decoder_channels": 8},
    "StableAudioDiTModel": {
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_attention_heads": 1,
        "cross_attention_dim": 64,
        "cross_attention_input_dim": 64,
        "global_states_input_dim": 128,
    },
    "StableAudioProjectionModel": {"text_encoder_dim": T5_WIDTH, "conditioning_dim": 64},
}
"""The new widths and depths of each class; those that depend on other keys are in COMPUTED."""


def divided(values: list[int], by: int = 16) -> list[int]:
    return [value // by for value in values]


def ltx_vae(config: dict[str, Any]) -> Changes:
    """The decoder's keys are missing in the oldest config: then it is as wide and deep as the encoder."""
    keys = ("block_out_channels", "layers_per_block")
    decoder = {f"decoder_{key}": config.get(f"decoder_{key}", config[key]) for key in keys}
    encoder = {key: config[key] for key in keys}
    sizes = (encoder | decoder).items()
    return {key: divided(size) if key.endswith("channels") else [1] * len(size) for key, size in sizes}


def unet_2d(config: dict[str, Any]) -> Changes:
    """Groups of 32 channels and the published numbers of heads must fit the new widths."""
    if config.get("addition_embed_type") != "text_time":
        return {
            "block_out_channels": [32, 64, 64, 64],
            "layers_per_block": 1,
            "cross_attention_dim": CLIP_WIDTH,
        }
    return {
        "block_out_channels": [32, 160, 160],
        "layers_per_block": 1,
        "transformer_layers_per_block": [1, 1, 1],
        "cross_attention_dim": 2 * CLIP_WIDTH,
        "projection_class_embeddings_input_dim": CLIP_WIDTH + 6 * config["addition_time_embed_dim"],
    }


COMPUTED: dict[str, Callable[[dict[str, Any]], Changes]] = {
    "AutoencoderKLLTXVideo": ltx_vae,
    "AutoencoderKLLTX2Video": ltx_vae,
    "UNet2DConditionModel": unet_2d,
    "LTXVideoTransformer3DModel": lambda config: {"cross_attention_dim": 2 * config["attention_head_dim"]},
}
DEPTHS = ("num_hidden_layers", "num_attention_pooler_hidden_layers")
"""A list `layer_types` is cut to the depth that stands beside it."""
MUSICGEN: Changes = (
    nested("text_encoder", T5)
    | {"audio_encoder.num_filters": 4, "audio_encoder.hidden_size": 16, "audio_encoder.codebook_dim": 16}
    | {
        "decoder.hidden_size": 32,
        "decoder.ffn_dim": 64,
        "decoder.num_attention_heads": 2,
        "decoder.num_hidden_layers": 2,
    }
)


def shrink_config(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config with the widths and depths of a tiny model."""
    fixed = MUSICGEN if class_name.startswith("Musicgen") else FIXED.get(class_name, {})
    computed = COMPUTED[class_name](config) if class_name in COMPUTED else {}
    changes = {**fixed, **computed}
    assert changes, f"no widths are known for {class_name}"
    shrunk: dict[str, Any] = json.loads(json.dumps(config))
    for path, value in changes.items():
        *parents, key = path.split(".")
        table = shrunk
        for parent in parents:
            table = table[parent]
        if key in table or path in computed:
            table[key] = value
    for table in (shrunk, *(value for value in shrunk.values() if isinstance(value, dict))):
        cut_layer_types(table)
    return shrunk


def cut_layer_types(table: dict[str, Any]) -> None:
    depth = next((table[key] for key in DEPTHS if key in table), None)
    if "layer_types" in table and depth is not None:
        table["layer_types"] = table["layer_types"][:depth]


def shrink_preset(preset: Preset, folder: Path) -> Preset:
    """Write tiny repositories for a preset with published configs, and return the preset for them."""
    main, *others = published_configs.repositories(preset.name)
    written = {main: folder / "main", **{other: folder / other.name for other in others}}
    names = {
        entry["source"]: str(folder / Path(path).name)
        for path, entry in published_configs.read_source(preset.name).get("repositories", {}).items()
    }
    for repository, target in written.items():
        write_repository(repository, target, preset.options.get("variant"))
    if preset.family == "animatediff":
        write_motion_adapters(main, written[main], preset.options["files"].values())
    return replace(
        preset,
        source=str(written[main]),
        revision=None,
        options={key: renamed(value, names) for key, value in preset.options.items()},
    )


def shrink_music_maker(name: str, folder: Path) -> Path:
    """Write the tiny repository of a music maker with published configs, and return its folder."""
    published = published_configs.PUBLISHED / name
    write_repository(published, folder)
    if not published_configs.components(folder):
        write_transformers_model(folder)
    return folder


def write_transformers_model(folder: Path) -> None:
    """A model of transformers that is published alone, with its tokenizer."""
    file, generation = folder / "config.json", folder / "generation_config.json"
    kept = generation.read_text(encoding="utf-8")
    config = json.loads(file.read_text(encoding="utf-8"))
    class_name = config["architectures"][0]
    shrunk = shrink_config(class_name, config)
    random_module(getattr(transformers, class_name), shrunk).save_pretrained(folder)
    tiny_pipelines.t5_tokenizer().save_pretrained(folder)
    file.write_text(json.dumps(shrunk, indent=2), encoding="utf-8")
    generation.write_text(kept, encoding="utf-8")


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """An option in which the names of repositories are replaced by their folders."""
    if isinstance(value, dict):
        return {key: renamed(entry, names) for key, entry in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


def write_repository(published: Path, target: Path, variant: str | None = None) -> None:
    """Write a tiny pipeline: the published files with new widths, random weights and a vocabulary."""
    ignored = shutil.ignore_patterns(published_configs.SOURCE_FILE, "other", "not-published")
    shutil.copytree(published, target, ignore=ignored)
    for component in published_configs.components(target):
        (target / component.name).mkdir(exist_ok=True)  # some files that are never loaded are not kept
        if component.name in WITHOUT_WEIGHTS:
            write_text_files(component)
        elif component.name not in CONFIG_FILES and component.config_file.is_file():
            write_component(component, variant)


def write_component(component: Component, variant: str | None) -> None:
    published = json.loads(component.config_file.read_text(encoding="utf-8"))
    if component.class_name == "StableDiffusionSafetyChecker":
        return  # the pipelines are loaded without it
    config = shrink_config(component.class_name, published)
    module = random_module(component.load_class(), config)
    module.save_pretrained(component.config_file.parent, variant=variant)
    component.config_file.write_text(json.dumps(config, indent=2), encoding="utf-8")


def random_module(kind: Any, config: dict[str, Any]) -> Any:
    if issubclass(kind, transformers.PreTrainedModel):
        torch.manual_seed(0)
        return kind(kind.config_class.from_dict(copy.deepcopy(config))).eval()  # it changes what it is given
    return tiny_pipelines.seeded(lambda: kind.from_config(config)).eval()


def write_motion_adapters(published: Path, target: Path, files: Any) -> None:
    """The files of a repository that has no config: their shape is that of the class's defaults."""
    config = json.loads((published / "not-published/motion_adapter.json").read_text(encoding="utf-8"))
    shrunk = shrink_config("MotionAdapter", config)
    weights = random_module(diffusers.MotionAdapter, shrunk).state_dict()
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        save_file(weights, target / file)
    (target / "config.json").write_text(json.dumps(shrunk), encoding="utf-8")  # the tiny shape is no default


def write_text_files(component: Component) -> None:
    """A tiny vocabulary with the published length and special tokens of a tokenizer."""
    folder = component.repository / component.name
    published = folder / "tokenizer_config.json"
    facts = json.loads(published.read_text(encoding="utf-8")) if published.is_file() else {}
    tokenizer = tiny_tokenizer(component)
    if tokenizer is None:
        return
    if "model_max_length" in facts:
        tokenizer.model_max_length = facts["model_max_length"]
    tokenizer.save_pretrained(folder)


def tiny_tokenizer(component: Component) -> Any:
    name = component.class_name
    if name.startswith("T5"):
        return tiny_pipelines.t5_tokenizer()
    if name.startswith("CLIPTokenizer"):
        return tiny_pipelines.clip_tokenizer()
    if name.startswith("Gemma"):
        return tiny_llm_pipelines.gemma_tokenizer()
    if name.startswith("Qwen2"):
        return tiny_llm_pipelines.qwen_tokenizer()
    return transformers.ByT5Tokenizer() if name == "ByT5Tokenizer" else None
