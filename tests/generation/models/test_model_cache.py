"""Models stay in memory while they fit; OutOfMemory and BadFrames are each retried once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from generation.clip import Frames
from generation.errors import BadFrames, OutOfMemory
from generation.models.common import device
from generation.models.common.device import HeldMemory, release_unused_memory
from generation.models.common.diffusers_pipeline import is_out_of_memory
from generation.models.common.frames import check_frames, fit_frames, to_uint8_frames
from generation.models.common.memory_plan import ComputeDevice
from generation.models.common.model_cache import ModelCache
from generation.models.common.registry import MemoryPlan, Preset, picture_model
from generation.progress import OnStep
from generation.request import Request
from tests.factories import make_preset
from tests.generation.models.conftest import tiny_request

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")


LARGE_WEIGHT_BYTES = 600_000_000
"""More than an unloaded model may leave. It is never written, so that it uses no real memory."""


class WeightPart:
    """A part of a model that holds memory."""


@picture_model("faulty")
class FaultyModel:
    """Fails as its preset's options say, depending on memory tier and dtype."""

    open_models: ClassVar[list[str]] = []
    load_calls: ClassVar[list[tuple[str, str, str]]] = []
    leaked_parts: ClassVar[list[object]] = []
    leaked_weights: ClassVar[list[Any]] = []

    def __init__(self, preset: Preset, plan: MemoryPlan) -> None:
        self.preset, self.plan = preset, plan
        self.net = torch.nn.Module()
        if preset.options.get("large_weight"):
            self.net.register_buffer("weight", torch.empty(LARGE_WEIGHT_BYTES, dtype=torch.uint8))

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> FaultyModel:
        cls.open_models.append(preset.name)
        cls.load_calls.append((preset.name, plan.tier.value, plan.dtype))
        if plan.tier in preset.options.get("heavy", ()):
            cls.open_models.remove(preset.name)
            raise OutOfMemory(preset.name)
        return cls(preset, plan)

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        on_step(1, 1)
        if self.plan.tier in self.preset.options.get("full", ()):
            raise OutOfMemory(self.preset.name)
        if self.plan.dtype == "float32" and self.plan.tier in self.preset.options.get("full_in_float32", ()):
            raise OutOfMemory(self.preset.name)
        if self.plan.dtype in self.preset.options.get("black", ()):
            raise BadFrames(self.preset.name)
        return Frames(np.zeros((1, 8, 8, 3), np.uint8), request.fps)

    def weight_modules(self) -> tuple[object, ...]:
        part = WeightPart()
        if self.preset.options.get("leaks"):
            FaultyModel.leaked_parts.append(part)
        if self.preset.options.get("leaks_weights"):
            FaultyModel.leaked_weights.append(self.net.weight)
        return (part, self.net)

    def close(self) -> None:
        self.open_models.remove(self.preset.name)


def preset(name: str, *, gigabytes: float = 10, **options: Any) -> Preset:
    memory = {"resident": gigabytes, "offload": gigabytes / 2, "group": gigabytes / 4}
    return make_preset(name, family="faulty", source="/nowhere", memory=memory, options=options)


@pytest.fixture
def model_cache() -> ModelCache:
    FaultyModel.open_models.clear()
    FaultyModel.load_calls.clear()
    return ModelCache(device=ComputeDevice(kind="cuda", name="a card", total=24, bfloat16=True))


def generate(cache: ModelCache, wanted: Preset) -> None:
    cache.generate_frames(wanted, tiny_request("faulty"), lambda *_: None)


def test_models_that_fit_stay_and_the_least_recently_used_is_unloaded_first(model_cache: ModelCache) -> None:
    one, two, three = (preset(name) for name in ("one", "two", "three"))
    for wanted in (one, two, one, three, one):
        generate(model_cache, wanted)
    assert FaultyModel.open_models == ["one", "three"]
    assert [name for name, _, _ in FaultyModel.load_calls] == ["one", "two", "three"]


def test_a_changed_preset_is_reloaded(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one"))
    generate(model_cache, replace(preset("one"), prompt_suffix="film grain"))
    assert len(FaultyModel.load_calls) == 2
    assert FaultyModel.open_models == ["one"]


def test_out_of_memory_tries_every_smaller_plan(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one", full=("resident",)))
    assert [tier for _, tier, _ in FaultyModel.load_calls] == ["resident", "offload"]
    generate(model_cache, preset("two", full=("resident", "offload")))
    every_tier = ["resident", "offload", "group"]
    assert [tier for name, tier, _ in FaultyModel.load_calls if name == "two"] == every_tier
    with pytest.raises(OutOfMemory):
        generate(model_cache, preset("three", full=every_tier))
    assert [tier for name, tier, _ in FaultyModel.load_calls if name == "three"] == every_tier


def test_out_of_memory_while_loading_tries_the_next_plan_too(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one", heavy=("resident",)))
    assert [tier for _, tier, _ in FaultyModel.load_calls] == ["resident", "offload"]
    generate(model_cache, preset("one", heavy=("resident",)))
    assert len(FaultyModel.load_calls) == 2  # the model stays with the plan that worked


def test_a_leaked_model_marks_the_process_for_restart(model_cache: ModelCache) -> None:
    for name in ("one", "two"):
        generate(model_cache, preset(name, gigabytes=20))
    assert not model_cache.needs_restart
    generate(model_cache, preset("three", gigabytes=20, leaks=True))
    generate(model_cache, preset("four", gigabytes=20))
    assert not model_cache.needs_restart  # the leak is found at the next load
    generate(model_cache, preset("five", gigabytes=20))
    assert model_cache.needs_restart


def test_weights_that_stay_in_memory_without_their_model_mark_the_process_too(
    model_cache: ModelCache,
) -> None:
    for wanted in (
        preset("one", gigabytes=20, large_weight=True),
        preset("two", gigabytes=20, large_weight=True, leaks_weights=True),
        preset("three", gigabytes=20),
    ):
        generate(model_cache, wanted)
        assert not model_cache.needs_restart
    generate(model_cache, preset("four", gigabytes=20))
    assert model_cache.needs_restart
    FaultyModel.leaked_weights.clear()


def test_a_music_maker_beside_the_model_is_no_leak() -> None:
    """What music makers hold says nothing about a picture model that was unloaded."""
    music_maker = torch.nn.Module()
    music_maker.register_buffer("weight", torch.empty(LARGE_WEIGHT_BYTES, dtype=torch.uint8))
    model = torch.nn.Linear(1000, 1000)
    held = HeldMemory((model, "no module"))
    del model
    release_unused_memory()
    assert held.released
    assert music_maker.weight.nbytes == LARGE_WEIGHT_BYTES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_music_maker_on_the_gpu_does_not_restart_the_engine() -> None:
    music_maker = torch.empty(LARGE_WEIGHT_BYTES, dtype=torch.uint8, device="cuda")
    cache = ModelCache()
    for name in ("one", "two", "three"):
        generate(cache, preset(name, gigabytes=torch.cuda.get_device_properties(0).total_memory / 2e9))
    assert not cache.needs_restart
    assert music_maker.nbytes == LARGE_WEIGHT_BYTES


def test_the_tensors_of_quantized_weights_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    monkeypatch.setattr(device, "ALLOWED_LEFTOVER_GB", 0.0)
    model = torch.nn.Linear(64, 64, bias=False)
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
    held = HeldMemory((model,))
    leaked = model.weight
    del model
    release_unused_memory()
    assert not held.released
    del leaked
    release_unused_memory()
    assert held.released


def test_a_cpu_allocation_failure_is_recognised_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_bad_frames_are_retried_in_float32_and_then_fail(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one", black=("bfloat16",)))
    assert [dtype for _, _, dtype in FaultyModel.load_calls] == ["bfloat16", "float32"]
    with pytest.raises(BadFrames):
        generate(model_cache, preset("two", black=("bfloat16", "float32")))
    assert FaultyModel.open_models == []


def test_the_retry_in_float32_needs_twice_the_memory_and_is_planned_for_it(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one", gigabytes=20, black=("bfloat16",)))
    assert [call[1:] for call in FaultyModel.load_calls] == [("resident", "bfloat16"), ("offload", "float32")]


def test_the_retry_in_float32_unloads_models_for_which_it_leaves_no_memory(model_cache: ModelCache) -> None:
    for wanted in (preset("one", gigabytes=8), preset("two", gigabytes=9, black=("bfloat16",))):
        generate(model_cache, wanted)
    assert FaultyModel.open_models == []


def test_a_retry_in_float32_that_runs_out_of_memory_tries_smaller_plans(model_cache: ModelCache) -> None:
    generate(model_cache, preset("one", black=("bfloat16",), full_in_float32=("resident",)))
    assert [call[1:] for call in FaultyModel.load_calls] == [
        ("resident", "bfloat16"),
        ("resident", "float32"),
        ("offload", "float32"),
    ]
    assert FaultyModel.open_models == []


def test_frames_stay_bad_where_float32_does_not_fit(model_cache: ModelCache) -> None:
    with pytest.raises(BadFrames):
        generate(model_cache, preset("one", gigabytes=60, black=("bfloat16",)))
    assert [call[1:] for call in FaultyModel.load_calls] == [("group", "bfloat16")]


def test_closing_the_cache_closes_all_models(model_cache: ModelCache) -> None:
    for name in ("one", "two"):
        generate(model_cache, preset(name))
    model_cache.close()
    assert FaultyModel.open_models == []
    assert not model_cache.needs_restart


def test_a_preset_too_large_for_the_card_is_refused(model_cache: ModelCache) -> None:
    with pytest.raises(OutOfMemory):
        generate(model_cache, preset("huge", gigabytes=400))


# Frames are checked before and after they are converted to bytes.


def noise_video(frames: int = 4) -> Any:
    return torch.rand(frames, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_a_bad_frame(bad: float) -> None:
    video = noise_video()
    video[2, 1, 3, 3] = bad
    with pytest.raises(BadFrames):
        to_uint8_frames("one", video)


def test_black_and_frozen_clips_are_bad_frames() -> None:
    for video in (torch.zeros(4, 3, 8, 8), noise_video(1).expand(4, 3, 8, 8)):
        with pytest.raises(BadFrames):
            to_uint8_frames("one", video)


def test_a_dark_clip_with_a_star_and_a_still_are_good() -> None:
    dark = np.zeros((4, 64, 64, 3), np.uint8)
    dark[1:, 20:24, 20:24] = 255
    check_frames("one", dark)
    assert to_uint8_frames("one", noise_video(1)).shape == (1, 8, 8, 3)


def test_fitting_covers_the_frame_and_keeps_the_ends_in_time() -> None:
    whole = to_uint8_frames("one", noise_video(5))
    longer = fit_frames(whole, 9, 16, 8)
    assert longer.shape == (9, 8, 16, 3)
    assert np.array_equal(longer[0], fit_frames(whole[:1], 1, 16, 8)[0])
    assert np.array_equal(longer[-1], fit_frames(whole[-1:], 1, 16, 8)[0])
    assert fit_frames(whole, 5, 8, 8) is whole
