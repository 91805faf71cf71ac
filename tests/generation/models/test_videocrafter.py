"""Converting a VideoCrafter2 checkpoint to a folder that the modelscope family loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding

from generation.errors import ModelBroken
from generation.models.common import videocrafter
from generation.models.common.registry import MemoryPlan, load
from generation.models.common.videocrafter_ddim import ScaledDDIM
from generation.request import Limits
from tests.factories import make_preset
from tests.generation.models import tiny_pipelines
from tests.generation.models.conftest import tiny_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:diffusers")
ORIGINAL_LAYERS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ORIGINAL_NAMES = {  # for two levels with one layer each; the first has attention
    "conv_in": "input_blocks.0.0",
    "transformer_in": "init_attn.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.temp_convs.0": "input_blocks.1.0.temopral_conv",
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.temp_attentions.0": "input_blocks.1.2",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.temp_convs.0": "input_blocks.3.0.temopral_conv",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.temp_convs.0": "middle_block.0.temopral_conv",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.temp_attentions.0": "middle_block.2",
    "mid_block.resnets.1": "middle_block.3",
    "mid_block.temp_convs.1": "middle_block.3.temopral_conv",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.temp_convs.0": "output_blocks.0.0.temopral_conv",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.temp_convs.1": "output_blocks.1.0.temopral_conv",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.temp_convs.0": "output_blocks.2.0.temopral_conv",
    "up_blocks.1.attentions.0": "output_blocks.2.1",
    "up_blocks.1.temp_attentions.0": "output_blocks.2.2",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "up_blocks.1.temp_convs.1": "output_blocks.3.0.temopral_conv",
    "up_blocks.1.attentions.1": "output_blocks.3.1",
    "up_blocks.1.temp_attentions.1": "output_blocks.3.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def unet() -> Any:
    return tiny_pipelines.seeded(
        diffusers.UNet3DConditionModel,
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=32,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=2,
    )


def original_weights(unet_model: Any) -> dict[str, torch.Tensor]:
    """The weights with their original names, convolutions for linear layers, and frame rate embedding."""
    state = {}
    for key, value in unet_model.state_dict().items():
        prefix = max((name for name in ORIGINAL_NAMES if key.startswith(name + ".")), key=len)
        rest = key.removeprefix(prefix + ".")
        if ".resnets." in key:
            layer, _, kind = rest.rpartition(".")
            rest = f"{ORIGINAL_LAYERS[layer]}.{kind}"
        shaped = value[..., None] if key.startswith("transformer_in.proj") and value.ndim == 2 else value
        state[f"{ORIGINAL_NAMES[prefix]}.{rest}"] = shaped
    generator = torch.Generator().manual_seed(4)
    for at, shape in ((0, (16, 4)), (2, (16, 16))):
        state[f"fps_embedding.{at}.weight"] = torch.randn(shape, generator=generator)
        state[f"fps_embedding.{at}.bias"] = torch.randn(shape[0], generator=generator)
    return state


def test_every_weight_is_converted_and_the_frame_rate_is_folded_in() -> None:
    original, converted = unet(), unet()
    state = original_weights(original)
    converted.load_state_dict(videocrafter.convert_unet_weights(state, converted.config, fps=8.0))
    rate = get_timestep_embedding(torch.tensor([8.0]), 4, flip_sin_to_cos=True, downscale_freq_shift=0)
    one = torch.nn.functional.linear(rate, state["fps_embedding.0.weight"], state["fps_embedding.0.bias"])
    added = torch.nn.functional.linear(
        one * torch.sigmoid(one), state["fps_embedding.2.weight"], state["fps_embedding.2.bias"]
    )
    expected = original.state_dict()
    expected["time_embedding.linear_2.bias"] = expected["time_embedding.linear_2.bias"] + added[0]
    for key, value in converted.state_dict().items():
        torch.testing.assert_close(value, expected[key])


def test_another_models_checkpoint_is_refused() -> None:
    model = unet()
    with pytest.raises(ModelBroken, match="controlnet"):
        videocrafter.convert_unet_weights(
            {**original_weights(model), "controlnet.0.weight": torch.ones(1)}, model.config, fps=8.0
        )


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ModelBroken):
        videocrafter.convert(file, tmp_path / "out", tokenizer=tmp_path)


def test_a_saved_pipeline_uses_the_scaled_sampler(tmp_path: Path) -> None:
    videocrafter.save_pipeline(
        tmp_path,
        unet=unet(),
        vae=tiny_pipelines.autoencoder(),
        text_encoder=tiny_pipelines.clip(),
        tokenizer=tiny_pipelines.clip_tokenizer(),
    )
    preset = make_preset(
        "crafted", family="modelscope", source=str(tmp_path), limits=Limits(width=32, height=32)
    )
    scaled = load(preset, MemoryPlan()).generate_frames(tiny_request("modelscope"), lambda *_: None).pixels
    (tmp_path / videocrafter.MARKER_FILE).unlink()
    plain = (
        load(replace(preset, name="plain"), MemoryPlan())
        .generate_frames(tiny_request("modelscope"), lambda *_: None)
        .pixels
    )
    assert not np.array_equal(scaled, plain)


def test_the_scale_falls_then_stays_constant() -> None:
    scheduler = ScaledDDIM.from_scheduler(tiny_pipelines.ddim(), end=0.7, steps=400)
    assert scheduler.scale[0] == 1
    assert scheduler.scale[399] == scheduler.scale[999] == pytest.approx(0.7)


def test_at_constant_scale_it_equals_plain_ddim() -> None:
    plain, scaled = (
        tiny_pipelines.ddim(),
        ScaledDDIM.from_scheduler(tiny_pipelines.ddim(), end=0.7, steps=400),
    )
    generator = torch.Generator().manual_seed(1)
    noise, sample = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    for scheduler in (plain, scaled):
        scheduler.set_timesteps(10)
    for timestep, same in ((900, True), (300, False)):
        one, two = (s.step(noise, timestep, sample).prev_sample for s in (plain, scaled))
        assert torch.allclose(one, two) is same
