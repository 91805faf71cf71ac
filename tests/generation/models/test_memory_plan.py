"""The memory plan follows from the device, the preset's tiers and the operator's limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.models.common.device import detect_from_driver
from generation.models.common.memory_plan import ComputeDevice, Resources, possible_plans
from generation.models.common.preset import MemoryTier, is_licence_allowed
from tests.factories import make_preset

TIERS = {"resident": 18.0, "eight_bit": 14.0, "offload": 10.0, "group": 6.0}
PRESET = make_preset("one", family="ltx", source="some/model", memory=TIERS)


def cuda_device(total: float) -> ComputeDevice:
    return ComputeDevice(kind="cuda", name="a card", total=total, bfloat16=True)


def test_a_large_card_holds_the_whole_model() -> None:
    best = possible_plans(PRESET, cuda_device(80), Resources())[0]
    assert (best.tier, best.dtype, best.tiling) == (MemoryTier.RESIDENT, "bfloat16", False)


def test_a_small_card_holds_the_model_in_groups() -> None:
    only = possible_plans(PRESET, cuda_device(8), Resources())
    assert [plan.tier for plan in only] == [MemoryTier.GROUP]
    assert only[0].tiling


def test_a_card_that_is_too_small_has_no_plan() -> None:
    assert possible_plans(PRESET, cuda_device(4), Resources()) == ()


def test_8_bit_weights_are_only_used_where_allowed() -> None:
    assert MemoryTier.EIGHT_BIT not in {
        plan.tier for plan in possible_plans(PRESET, cuda_device(80), Resources())
    }
    assert possible_plans(PRESET, cuda_device(16), Resources(lossy=True))[0].tier is MemoryTier.EIGHT_BIT


def test_the_operator_can_limit_the_memory() -> None:
    assert possible_plans(PRESET, cuda_device(80), Resources(gigabytes=12))[0].tier is MemoryTier.OFFLOAD


def test_an_old_card_has_no_bfloat16() -> None:
    assert possible_plans(PRESET, replace(cuda_device(80), bfloat16=False), Resources())[0].dtype == "float16"


def test_without_a_gpu_the_model_runs_on_the_cpu_in_float32() -> None:
    assert [(plan.device, plan.dtype) for plan in possible_plans(PRESET, ComputeDevice(), Resources())] == [
        ("cpu", "float32")
    ]


def test_float32_needs_twice_the_memory_on_a_gpu_too() -> None:
    best = possible_plans(PRESET, cuda_device(24), Resources(dtype="float32"))[0]
    assert (best.tier, best.gigabytes) == (MemoryTier.OFFLOAD, 20)


def test_a_model_larger_than_the_memory_has_no_plan() -> None:
    assert possible_plans(PRESET, ComputeDevice(total=35), Resources()) == ()
    assert possible_plans(PRESET, ComputeDevice(total=37), Resources())[0].gigabytes == 36


@given(total=st.floats(1, 200), most=st.floats(0, 200), lossy=st.booleans())
def test_every_plan_fits_and_later_plans_need_less(total: float, most: float, *, lossy: bool) -> None:
    candidates = possible_plans(PRESET, cuda_device(total), Resources(gigabytes=most, lossy=lossy))
    needs = [plan.gigabytes for plan in candidates]
    assert needs == sorted(needs, reverse=True)
    assert all(need <= min(total, most or total) for need in needs)


def test_a_licence_can_exclude_commercial_use_and_territories() -> None:
    strict = replace(PRESET, commercial_ok=False, excluded_territories=("EU",))
    assert is_licence_allowed(strict)
    assert not is_licence_allowed(strict, commercial=True)
    assert not is_licence_allowed(strict, territory="EU")
    assert is_licence_allowed(PRESET, commercial=True, territory="EU")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            "NVIDIA H200, 143771, 9.0",
            ComputeDevice(kind="cuda", name="NVIDIA H200", total=150.8, bfloat16=True),
        ),
        ("Tesla T4, 15360, 7.5", ComputeDevice(kind="cuda", name="Tesla T4", total=16.1, bfloat16=False)),
    ],
)
def test_a_card_is_detected_with_nvidia_smi(
    answer: str, found: ComputeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert detect_from_driver() == found
    assert detect_from_driver("cpu").kind == "cpu"


def test_a_failing_nvidia_smi_means_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert detect_from_driver().kind == "cpu"
