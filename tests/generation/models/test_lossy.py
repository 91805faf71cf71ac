"""What may be given up for speed or memory has a name, and is refused where it does not work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generation import Cancelled
from generation.errors import PresetBroken
from generation.models.common import attention
from generation.models.common.device_placement import painter
from generation.models.common.lossy import CACHES, TITLES, WEIGHTS, chosen, has_torchao
from generation.models.common.memory_plan import Keep
from generation.models.common.registry import Plan, Preset, check, load, lossy_ways
from tests.generation.models.conftest import asked

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]
Tiny = Callable[[str], Preset]
STEPS = 6
CACHED = [("ltx", name) for name in sorted(CACHES)] + [
    ("wan", "first_block"),
    ("wan", "pyramid"),
    ("ltx2", "taylor"),
    ("hunyuan15", "taylor"),
    ("hunyuan15", "pyramid"),
]


def quiet(_: int, __: int) -> None: ...


def giving_up(preset: Preset, *names: str, **settings: Any) -> Preset:
    options = {**preset.options, "lossy": list(names), "lossy_settings": settings}
    return replace(preset, options=options)


def pixels(held: Any, family: str, **changes: Any) -> Any:
    return held.paint(asked(family, steps=STEPS, **changes), quiet).pixels.astype(int)


@pytest.mark.parametrize(("family", "name"), CACHED)
def test_a_step_cache_paints_nearly_the_same_and_a_stopped_clip_leaves_no_trace(
    family: str, name: str, tiny_preset: Tiny
) -> None:
    plain = load(tiny_preset(family), Plan())
    exact = pixels(plain, family)
    plain.close()
    settings = {"first_block": {"threshold": 10.0}} if name == "first_block" else {}
    held = load(giving_up(tiny_preset(family), name, **settings), Plan())
    cached = pixels(held, family)
    assert 0 < np.abs(cached - exact).mean() < 16

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        held.paint(asked(family, steps=STEPS, seed=77), stop)
    assert np.array_equal(cached, pixels(held, family))
    held.close()


@pytest.mark.skipif(not has_torchao(), reason="an extra that is not installed")
@pytest.mark.parametrize("family", ["ltx", "modelscope", "animatediff"])
def test_eight_bit_integers_take_less_room_and_paint_nearly_the_same(family: str, tiny_preset: Tiny) -> None:
    plain, small = (
        load(preset, Plan()) for preset in (tiny_preset(family), giving_up(tiny_preset(family), "int8"))
    )
    assert weight(small) < 0.9 * weight(plain)
    assert np.abs(pixels(plain, family) - pixels(small, family)).mean() < 16
    plain.close()
    small.close()


def test_eight_bit_floats_rest_in_a_quarter_of_the_room(tiny_preset: Tiny) -> None:
    held = load(giving_up(tiny_preset("ltx"), "fp8"), Plan())
    kinds = {parameter.dtype for parameter in painter_of(held).parameters()}
    assert torch.float8_e4m3fn in kinds
    assert pixels(held, "ltx").shape == (9, 32, 32, 3)
    held.close()


def test_the_planner_gives_up_eight_bits_by_whatever_is_installed(tiny_preset: Tiny) -> None:
    plan = Plan(keep=Keep.EIGHT_BIT)
    assert chosen(tiny_preset("ltx"), plan) == ("int8" if has_torchao() else "fp8",)
    assert chosen(giving_up(tiny_preset("ltx"), "fp8", "taylor"), plan) == ("fp8", "taylor")
    assert chosen(tiny_preset("ltx"), Plan()) == ()
    held = load(tiny_preset("ltx"), plan)
    assert pixels(held, "ltx").shape == (9, 32, 32, 3)
    held.close()


def test_what_does_not_work_with_a_family_is_named_at_the_start(tiny_preset: Tiny) -> None:
    with pytest.raises(PresetBroken) as caught:
        check(giving_up(tiny_preset("ltx"), "frist_block"))
    assert (caught.value.place, caught.value.near) == ("tiny-ltx.options.lossy", "first_block")
    with pytest.raises(PresetBroken):
        check(giving_up(tiny_preset("sana"), "taylor"))
    check(giving_up(tiny_preset("wan"), "int8", "pyramid"))


def test_every_name_has_a_title_and_every_family_knows_its_own(tiny_preset: Tiny) -> None:
    for family in ("ltx", "ltx2", "wan", "sana", "modelscope", "image"):
        assert set(lossy_ways(tiny_preset(family))) <= TITLES.keys()
        assert set(lossy_ways(tiny_preset(family))) >= WEIGHTS


def test_a_lean_model_paints_the_same_bits_and_reads_only_new_words(tiny_preset: Tiny) -> None:
    held: list[Any] = [load(tiny_preset("ltx"), Plan(keep=keep)) for keep in (Keep.RESIDENT, Keep.LEAN)]
    whole, lean = held
    assert isinstance(lean.pipe.readers, list)
    assert len(lean.pipe.readers) == 1
    moves: list[torch.device | str] = []
    net = painter_of(lean)
    plain_to = net.to

    def moved(where: torch.device | str) -> Any:
        moves.append(where)
        return plain_to(where)

    net.to = moved
    assert np.array_equal(pixels(whole, "ltx"), pixels(lean, "ltx"))
    assert len(moves) == 2  # aside, and back
    pixels(lean, "ltx", seed=12)
    assert len(moves) == 2
    whole.close()
    lean.close()


def test_attention_is_tried_among_the_exact_ways_and_a_preset_may_choose(
    tiny_preset: Tiny, tmp_path: Path
) -> None:
    assert tmp_path.is_dir()
    assert attention.fastest("cpu", "float32") == "native"
    assert attention._measure("native", "cpu", "float32") > 0  # what a card would be asked
    preset = tiny_preset("ltx")
    held = load(replace(preset, options={**preset.options, "attention": "_native_math"}), Plan())
    plain = load(preset, Plan())
    assert np.abs(pixels(held, "ltx") - pixels(plain, "ltx")).max() <= 1
    held.close()
    plain.close()


def painter_of(held: Any) -> Any:
    return painter(held.pipe)


def weight(held: Any) -> int:
    """Bytes, also of weights that are made of several tensors."""
    return sum(map(bytes_of, painter_of(held).parameters()))


def bytes_of(tensor: Any) -> int:
    if type(tensor) in {torch.Tensor, torch.nn.Parameter}:
        return int(tensor.numel() * tensor.element_size())
    return sum(bytes_of(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
