"""How a model is held follows from the card, the preset's tiers and what the operator allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.models.common.device import guess
from generation.models.common.memory_plan import Card, Keep, Means, plans
from generation.models.common.preset import allowed
from generation.models.common.registry import Preset
from generation.request import Limits

TIERS = {"resident": 18.0, "eight_bit": 14.0, "offload": 10.0, "group": 6.0}
PRESET = Preset(
    name="one",
    family="ltx",
    title="One",
    source="some/model",
    limits=Limits(width=64, height=64),
    memory=TIERS,
)


def card(total: float) -> Card:
    return Card(kind="cuda", name="a card", total=total, bfloat16=True)


def test_a_large_card_holds_it_whole() -> None:
    best = plans(PRESET, card(80), Means())[0]
    assert (best.keep, best.dtype, best.tiling) == (Keep.RESIDENT, "bfloat16", False)


def test_a_small_card_holds_it_piece_by_piece() -> None:
    only = plans(PRESET, card(8), Means())
    assert [plan.keep for plan in only] == [Keep.GROUP]
    assert only[0].tiling


def test_a_card_too_small_has_no_way() -> None:
    assert plans(PRESET, card(4), Means()) == ()


def test_eight_bits_are_only_used_where_allowed() -> None:
    assert Keep.EIGHT_BIT not in {plan.keep for plan in plans(PRESET, card(80), Means())}
    assert plans(PRESET, card(16), Means(lossy=True))[0].keep is Keep.EIGHT_BIT


def test_the_operator_can_bound_the_memory() -> None:
    assert plans(PRESET, card(80), Means(gigabytes=12))[0].keep is Keep.OFFLOAD


def test_an_old_card_has_no_bfloat16() -> None:
    assert plans(PRESET, replace(card(80), bfloat16=False), Means())[0].dtype == "float16"


def test_without_a_card_it_is_exact_and_on_the_processor() -> None:
    assert [(plan.device, plan.dtype) for plan in plans(PRESET, Card(), Means())] == [("cpu", "float32")]


def test_a_model_larger_than_the_machine_is_not_tried() -> None:
    assert plans(PRESET, Card(total=35), Means()) == ()
    assert plans(PRESET, Card(total=37), Means())[0].gigabytes == 36


@given(total=st.floats(1, 200), most=st.floats(0, 200), lossy=st.booleans())
def test_every_way_fits_and_each_next_needs_less(total: float, most: float, *, lossy: bool) -> None:
    ways = plans(PRESET, card(total), Means(gigabytes=most, lossy=lossy))
    needs = [way.gigabytes for way in ways]
    assert needs == sorted(needs, reverse=True)
    assert all(need <= min(total, most or total) for need in needs)


def test_a_licence_can_forbid() -> None:
    strict = replace(PRESET, commercial_ok=False, excluded_territories=("EU",))
    assert allowed(strict)
    assert not allowed(strict, commercial=True)
    assert not allowed(strict, territory="EU")
    assert allowed(PRESET, commercial=True, territory="EU")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("NVIDIA H200, 143771, 9.0", Card(kind="cuda", name="NVIDIA H200", total=150.8, bfloat16=True)),
        ("Tesla T4, 15360, 7.5", Card(kind="cuda", name="Tesla T4", total=16.1, bfloat16=False)),
    ],
)
def test_a_card_is_known_from_the_drivers_own_tool(
    answer: str, found: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert guess() == found
    assert guess("cpu").kind == "cpu"


def test_a_driver_that_does_not_answer_is_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert guess().kind == "cpu"
