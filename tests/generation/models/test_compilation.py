"""A compiled model renders whatever the compiler cannot do: uncompiled, which is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generation.models.common import compilation
from generation.models.common.device_placement import denoiser
from generation.models.common.lossy import STEP_CACHES
from generation.models.common.preset import MemoryTier
from generation.models.common.registry import MemoryPlan, Preset, load
from tests.generation.models.conftest import tiny_request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]
PresetFactory = Callable[[str], Preset]
COMPILED = MemoryPlan(compile=True)


@pytest.fixture(autouse=True)
def fresh_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv(compilation.CACHE_VARIABLE, str(tmp_path / "compiled"))
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = limit


def rendered(model: Any, family: str, **changes: Any) -> Any:
    return model.generate_frames(tiny_request(family, **changes), lambda _done, _total: None).pixels


def compiled_blocks(model: Any) -> list[Any]:
    return [part for part in denoiser(model.pipe).modules() if part._compiled_call_impl is not None]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.message for entry in caplog.records if entry.name == compilation.__name__]


@pytest.mark.parametrize("name", [*sorted(STEP_CACHES), "fp8"])
def test_a_lossy_option_that_cannot_be_compiled_renders_uncompiled(
    name: str, tiny_preset: PresetFactory, caplog: pytest.LogCaptureFixture
) -> None:
    preset = tiny_preset("ltx")
    preset = replace(preset, options={**preset.options, "lossy": [name]})
    plain, compiled = load(preset, MemoryPlan()), load(preset, COMPILED)
    assert np.array_equal(rendered(plain, "ltx", steps=4), rendered(compiled, "ltx", steps=4))
    assert compiled_blocks(compiled) == []
    assert warnings(caplog) == [f"tiny-ltx is not compiled: {name} does not work with it"]
    plain.close()
    compiled.close()


def test_without_a_working_compiler_the_same_step_runs_uncompiled(
    tiny_preset: PresetFactory,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "no-compiler"),))
    preset = tiny_preset("ltx")
    plain, compiled = load(preset, MemoryPlan()), load(preset, COMPILED)
    assert compiled_blocks(compiled)
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        assert np.array_equal(rendered(plain, "ltx"), rendered(compiled, "ltx"))
    assert compiled_blocks(compiled) == []
    assert [text[:29] for text in warnings(caplog)] == ["tiny-ltx now runs uncompiled:"]
    failure = compilation.last_failure(preset, tmp_path / "compiled")
    assert failure is not None
    assert failure in warnings(caplog)[0]
    plain.close()
    compiled.close()
    load(preset, COMPILED).close()
    assert compilation.last_failure(preset, tmp_path / "compiled") is None


def test_more_shapes_than_torch_allows_by_default_stay_compiled(
    tiny_preset: PresetFactory, caplog: pytest.LogCaptureFixture
) -> None:
    compiled: Any = load(tiny_preset("ltx"), MemoryPlan())
    preset, one_variant_a_shape = tiny_preset("ltx"), {"backend": "eager", "dynamic": False}
    compilation.compile_blocks(denoiser(compiled.pipe), preset, COMPILED, **one_variant_a_shape)
    for side in range(32, 352, 32):
        assert rendered(compiled, "ltx", steps=1, width=side, height=32).shape[2] == side
    assert compiled_blocks(compiled)
    assert warnings(caplog) == []
    compiled.close()


def test_too_many_variants_end_in_an_uncompiled_step(
    tiny_preset: PresetFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "RECOMPILE_LIMIT", 1)
    torch._dynamo.config.recompile_limit = 1
    compiled: Any = load(tiny_preset("ltx"), MemoryPlan())
    compilation.compile_blocks(denoiser(compiled.pipe), tiny_preset("ltx"), COMPILED, backend="eager")
    for side in (32, 64, 96):
        assert rendered(compiled, "ltx", width=side, height=side).shape[1] == side
    assert compiled_blocks(compiled) == []
    compiled.close()


def test_memory_that_runs_out_is_no_failure_of_the_compiler(tiny_preset: PresetFactory) -> None:
    compiled: Any = load(tiny_preset("ltx"), MemoryPlan())
    net = denoiser(compiled.pipe)
    compilation.compile_blocks(net, tiny_preset("ltx"), COMPILED, backend=run_out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        net.transformer_blocks[0](*example_inputs())
    assert compiled_blocks(compiled)
    compiled.close()


def run_out_of_memory(_graph: Any, _inputs: Any) -> Callable[..., Any]:
    def run(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    return run


def example_inputs() -> tuple[torch.Tensor, ...]:
    """Arguments of a block of the tiny transformer."""
    return torch.zeros(1, 4, 32), torch.zeros(1, 3, 32), torch.zeros(1, 1, 6 * 32)


def test_obstacles_are_known_without_trying(
    tiny_preset: PresetFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    preset = tiny_preset("ltx")
    monkeypatch.setenv("CC", "anything")
    assert compilation.obstacle(preset, COMPILED) is None
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "C compiler" in (compilation.obstacle(preset, COMPILED) or "")
    eight_bit = MemoryPlan(compile=True, tier=MemoryTier.EIGHT_BIT)
    cached = replace(preset, options={**preset.options, "lossy": ["fp8"]})
    assert compilation.obstacle(cached, eight_bit) == "fp8 does not work with it"
