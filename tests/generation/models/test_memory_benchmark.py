"""The memory benchmark counts live bytes, and knows what each tier holds on the GPU at once."""

from __future__ import annotations

import json

import pytest

from benchmarks.memory import RESULTS, counted_peak, default_size, largest_size, presets_with_configs
from generation.models.common.memory_plan import MemoryPlan
from generation.models.common.preset import MemoryTier

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

COUNTED = {
    "weights": {"text_encoder": 10.0, "transformer": 4.0, "vae": 1.0},
    "layer": 0.5,
    "requests": {"default": {"denoise": 1.0, "decode": 6.0, "tiled": 2.0}},
}


def test_live_bytes_are_counted_and_freed_bytes_are_not() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415  (heavy)

    from benchmarks.memory_count import peak_gb  # noqa: PLC0415  (heavy)

    def three_at_once() -> object:
        first = torch.empty(250_000_000)
        second = first + 1
        view = second.view(5, -1)  # no new memory
        del first
        third = view * 2
        return third.sum()

    with FakeTensorMode():
        assert peak_gb(three_at_once) == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize(
    ("tier", "tiling", "peak"),
    [
        (MemoryTier.RESIDENT, False, 21.0),
        (MemoryTier.RESIDENT, True, 17.0),
        (MemoryTier.LEAN, False, 11.0),
        (MemoryTier.LEAN, True, 11.0),
        (MemoryTier.EIGHT_BIT, True, 15.0),
        (MemoryTier.OFFLOAD, True, 10.0),
        (MemoryTier.GROUP, True, 3.0),
    ],
)
def test_each_tier_holds_its_part_of_the_weights(tier: MemoryTier, tiling: bool, peak: float) -> None:  # noqa: FBT001  (a case of the table)
    assert counted_peak(COUNTED, "default", MemoryPlan(tier=tier, tiling=tiling)) == peak


def test_the_kept_counts_are_those_of_the_requests_of_today() -> None:
    presets = presets_with_configs()
    for name, counted in json.loads(RESULTS.read_text(encoding="utf-8")).items():
        for label, size in (
            ("default", default_size(presets[name])),
            ("largest", largest_size(presets[name])),
        ):
            kept = counted["requests"][label]["size"]
            assert kept == [size.width, size.height, size.frames], (
                f"python -m benchmarks.memory --count {name}"
            )


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_count_of_today_agrees_with_the_kept_one() -> None:
    from benchmarks.memory_count import PipelineCount  # noqa: PLC0415  (heavy)

    preset = presets_with_configs()["sd15"]
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["sd15"]["requests"]["default"]
    counted, size = PipelineCount(preset), default_size(preset)
    assert counted.denoise_gb(size) == pytest.approx(kept["denoise"], abs=0.02)
    assert counted.decode_gb(size, tiled=False) == pytest.approx(kept["decode"], abs=0.02)
