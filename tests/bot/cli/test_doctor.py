"""`matinee doctor` says whether the default model is compiled, and why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.doctor import Verdict, check_compilation
from generation.models.common.memory_plan import ComputeDevice, Resources
from tests.factories import make_preset

if TYPE_CHECKING:
    import pytest

PRESET = make_preset("big", family="ltx", source="some/model")
CARD = ComputeDevice(kind="cuda", name="a card", total=24.0, bfloat16=True)


def test_compilation_is_checked_only_if_it_is_asked_for() -> None:
    assert check_compilation(PRESET, Resources(), CARD) == []
    assert check_compilation(replace(PRESET, source=""), Resources(compile=True), CARD) == []


def test_the_reason_why_a_model_runs_uncompiled_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "gcc")
    resources = Resources(compile=True, cache_folder=str(tmp_path))
    (good,) = check_compilation(PRESET, resources, CARD)
    assert good.verdict is Verdict.GOOD
    (on_cpu,) = check_compilation(PRESET, resources, ComputeDevice())
    assert on_cpu.verdict is Verdict.LEFT_OUT
    cached = replace(PRESET, options={"lossy": ["taylor"]})
    assert "taylor" in check_compilation(cached, resources, CARD)[0].detail
    (tmp_path / "uncompiled-big.txt").write_text("InductorError: no compiler\n")
    assert check_compilation(PRESET, resources, CARD)[0].detail.endswith("InductorError: no compiler")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "C compiler" in check_compilation(PRESET, resources, CARD)[0].detail
