"""LTX-2: how much a clip computes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace

import pytest

from generation.models.common.registry import MemoryPlan, Preset, load
from generation.models.ltx2 import Ltx2
from tests.generation.models.conftest import tiny_request
from tests.paths import CONFIG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_distilled_preset_computes_each_step_once(tiny_preset: Callable[[str], Preset]) -> None:
    shipped = tomllib.loads((CONFIG / "models.toml").read_text(encoding="utf-8"))["ltx2-distilled"]
    options = {**shipped["options"], "max_sequence_length": 16}
    model = load(replace(tiny_preset("ltx2"), options=options), MemoryPlan())
    assert isinstance(model, Ltx2)
    batch_sizes: list[int] = []
    model.pipe.transformer.register_forward_pre_hook(
        lambda _, __, arguments: batch_sizes.append(len(arguments["hidden_states"])), with_kwargs=True
    )
    limits = shipped["limits"]
    request = tiny_request("ltx2", steps=limits["steps"], guidance=limits["guidance"])
    ticks: list[tuple[int, int]] = []
    model.generate_frames(request, lambda done, total: ticks.append((done, total)))
    assert batch_sizes == [1] * 8
    assert ticks == [(step, 8) for step in range(1, 9)]
    model.close()
