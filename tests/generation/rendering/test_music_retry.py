"""Music of values that are not numbers is composed again in float32; it is never delivered as silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from generation.clip import Audio
from generation.errors import BadAudio
from generation.rendering.render import RenderContext
from generation.request import Music
from tests.generation.music import tiny_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),  # raised in the autoencoder
]
BEYOND_FLOAT16 = 1e6
Scale = Callable[[Path, float], None]


def scale(folder: Path, part: str, names: tuple[str, ...], factor: float) -> None:
    """Multiply weights: by 1e6 what they compute is infinite in float16, and finite in float32."""
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    found = [name for name in weights if name.endswith(names)]
    assert found
    for name in found:
        weights[name] = (weights[name] * factor).clamp(-6e4, 6e4)
    save_file(weights, file, {"format": "pt"})


MAKERS: dict[str, tuple[Callable[[Path], Path], str, tuple[str, ...]]] = {
    "acestep": (tiny_weights.save_acestep, "vae", ("decoder.conv1.weight_g",)),
    "stableaudio": (tiny_weights.save_stableaudio, "vae", ("decoder.conv1.weight_g",)),
    "musicgen": (tiny_weights.save_musicgen, ".", ("decoder.model.decoder.layers.0.fc2.weight",)),
}


@pytest.fixture(params=MAKERS)
async def overflowing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RenderContext]:
    save, part, names = MAKERS[request.param]
    folder = save(tmp_path / request.param)
    scale(folder, part, names, BEYOND_FLOAT16)
    options: dict[str, Any] = {"maker": request.param, "name": "m", "source": str(folder), "steps": 2}
    context = RenderContext(maker_options={"m": {**options, "dtype": "float16"}})
    yield context
    context.close()


async def compose(context: RenderContext) -> Audio:
    music = Music(genre="lofi", maker="m", words="warm lofi", seed=4)
    return await context.music_batcher.compose(music, 24_000, lambda _done, _total: None)


async def test_music_that_overflows_in_float16_is_composed_in_float32(overflowing: RenderContext) -> None:
    audio = await compose(overflowing)
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() > 0.1
    maker: Any = overflowing.music_makers["m"]
    assert maker.dtype == "float32"
    two = await asyncio.gather(compose(overflowing), compose(overflowing))
    assert overflowing.music_makers["m"] is maker
    assert all(np.array_equal(audio.samples, one.samples) for one in two)


async def test_music_that_is_unusable_in_float32_too_is_an_error(tmp_path: Path) -> None:
    folder = tiny_weights.save_acestep(tmp_path)
    scale(folder, "vae", ("decoder.conv1.weight_g",), float("nan"))
    options = {"maker": "acestep", "name": "m", "source": str(folder), "steps": 2, "dtype": "float16"}
    context = RenderContext(maker_options={"m": options})
    with pytest.raises(BadAudio):
        await compose(context)
    context.close()


def test_silence_of_a_model_is_an_error(tmp_path: Path) -> None:
    folder = tiny_weights.save_acestep(tmp_path)
    scale(folder, "vae", ("decoder.conv2.weight_g",), 0.0)
    context = RenderContext(maker_options={"m": {"maker": "acestep", "source": str(folder), "steps": 2}})
    with pytest.raises(BadAudio):
        asyncio.run(compose(context))
    context.close()
    assert torch.get_default_dtype() is torch.float32
