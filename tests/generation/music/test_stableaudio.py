"""Stable Audio's scheduler computes what the published one does."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from generation.music.common.cosine_scheduler import PUBLISHED_CLASS, CosineScheduler
from generation.music.common.registry import load
from generation.music.stableaudio import StableAudio
from tests.generation.music import tiny_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),  # raised in the autoencoder
]
CONFIG = tiny_weights.PUBLISHED / "stable-audio-open" / "scheduler" / "scheduler_config.json"
SOLVER_MODULE = "diffusers.schedulers.scheduling_cosine_dpmsolver_multistep"
NOISE_MODULE = "diffusers.schedulers.scheduling_dpmsolver_sde"


@pytest.fixture
def published_class(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The original class. Its module imports torchsde only for noise, which the test gives it."""
    monkeypatch.setitem(sys.modules, "torchsde", ModuleType("torchsde"))
    yield getattr(importlib.import_module(SOLVER_MODULE), PUBLISHED_CLASS)
    for name in (SOLVER_MODULE, NOISE_MODULE):
        sys.modules.pop(name, None)


def network(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Stands for the transformer: any function of the sample and the timestep."""
    return torch.sin(3 * sample + timestep) + 0.3 * timestep * sample


def denoise(
    scheduler: Any, steps: int, noise_sampler: Any = None, **step_arguments: Any
) -> tuple[list[float], torch.Tensor]:
    """Denoise as StableAudioPipeline does; returns the timesteps and the result."""
    scheduler.set_timesteps(steps)
    scheduler.noise_sampler = noise_sampler
    sample = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(5)) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        output = network(scheduler.scale_model_input(sample, timestep), timestep)
        sample = scheduler.step(output, timestep, sample, **step_arguments).prev_sample
    return scheduler.timesteps.tolist(), sample


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_its_steps_are_those_of_the_published_scheduler(published_class: Any, steps: int) -> None:
    config = json.loads(CONFIG.read_text())
    published = published_class.from_config(config)
    noise = torch.Generator().manual_seed(9)

    def draw_noise(_from: torch.Tensor, _to: torch.Tensor) -> torch.Tensor:
        return torch.randn(1, 4, 50, generator=noise)

    expected = denoise(published, steps, draw_noise)
    own = denoise(CosineScheduler.from_published(config), steps, generator=torch.Generator().manual_seed(9))
    assert own[0] == expected[0]
    assert torch.equal(own[1], expected[1])


def test_the_maker_uses_it_for_the_published_weights(tmp_path: Path) -> None:
    folder = tiny_weights.save_stableaudio(tmp_path)
    maker = load("stable", {"maker": "stableaudio", "source": str(folder), "steps": 2})
    assert isinstance(maker, StableAudio)
    assert type(maker.pipe.scheduler) is CosineScheduler
    assert maker.pipe.scheduler.config.sigma_max == json.loads(CONFIG.read_text())["sigma_max"]
    maker.close()
