"""Presets: the operator's tables are read exactly, and a mistake is reported with its place."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from generation.errors import PresetBroken
from generation.models.common.preset import Preset, read_presets
from generation.models.common.registry import check_preset
from generation.request import Kind
from tests.paths import CONFIG

SHIPPED = CONFIG / "models.toml"
MINIMAL_PRESET = '[one]\nfamily = "testcard"\ntitle = "One"\nlimits = {width = 512, height = 320}\n'


def read(text: str) -> dict[str, Preset]:
    return read_presets(tomllib.loads(text))


def preset_error(text: str) -> PresetBroken:
    with pytest.raises(PresetBroken) as caught:
        read(text)
    return caught.value


def test_every_shipped_preset_is_valid_and_its_family_exists() -> None:
    presets = read_presets(tomllib.loads(SHIPPED.read_text()))
    assert next(iter(presets)) == "testcard"
    for preset in presets.values():
        check_preset(preset)
        assert {"16:9", "9:16", "1:1"} <= set(preset.limits.aspects)
        sizes = [*preset.limits.aspects.values(), (preset.limits.width, preset.limits.height)]
        for width, height in sizes:
            assert width % preset.limits.side_multiple == height % preset.limits.side_multiple == 0
            assert width * height <= preset.limits.max_pixels
            assert max(width, height) <= preset.limits.max_side


def test_a_preset_survives_a_json_round_trip() -> None:
    for preset in read_presets(tomllib.loads(SHIPPED.read_text())).values():
        assert Preset.from_json(json.loads(json.dumps(preset.to_json()))) == preset


def test_a_missing_key_has_its_default() -> None:
    preset = read(MINIMAL_PRESET)["one"]
    assert preset.limits.kinds == (Kind.VIDEO,)
    assert preset.name == "one"


def test_an_unknown_key_is_reported_with_the_closest_known_one() -> None:
    error = preset_error(MINIMAL_PRESET + 'licens = "MIT"\n')
    assert (error.place, error.near) == ("one.licens", "licence")


def test_an_unknown_limit_is_reported_with_the_closest_known_one() -> None:
    error = preset_error('[one]\nfamily="x"\ntitle="X"\n[one.limits]\nwidht = 512\nheight = 512\n')
    assert (error.place, error.near) == ("one.limits.widht", "width")


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("cost = 'much'", "one.cost"),
        ("gated = 1", "one.gated"),
        ("limits = 3", "one.limits"),
        ("limits = {width = true, height = 1}", "one.limits.width"),
        ("limits = {width = 8, height = 8, kinds = ['vidoe']}", "one.limits.kinds"),
        ("limits = {width = 8, height = 8, aspects = {'1:1' = [1]}}", "one.limits.aspects.1:1"),
        ("limits = {width = 8}", "one.limits.height"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(line: str, place: str) -> None:
    head = '[one]\nfamily="x"\ntitle="X"\n'
    tail = "" if line.startswith("limits") else "limits = {width = 8, height = 8}\n"
    assert preset_error(head + tail + line).place == place


@pytest.mark.parametrize(
    ("table", "place", "near"),
    [
        ({"family": "lxt"}, "one.family", "ltx"),
        ({"family": "ltx", "options": {"upscalr": "x"}}, "one.options.upscalr", "upscaler"),
        ({"family": "testcard", "options": {"speed": 1}}, "one.options.speed", None),
    ],
)
def test_a_mistake_in_a_family_or_its_options_is_named(
    table: dict[str, Any], place: str, near: str | None
) -> None:
    whole = {"title": "One", "limits": {"width": 64, "height": 64}, **table}
    with pytest.raises(PresetBroken) as caught:
        check_preset(read_presets({"one": whole})["one"])
    assert (caught.value.place, caught.value.near) == (place, near)


@pytest.mark.parametrize("data", [{"one": 3}, {"one": {}}])
def test_a_table_that_is_not_a_preset_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(PresetBroken):
        read_presets(data)


def test_a_whole_number_that_no_float_can_hold_is_refused_with_its_key() -> None:
    shipped = tomllib.loads((CONFIG / "models.toml").read_text(encoding="utf-8"))["testcard"]
    with pytest.raises(PresetBroken, match="too large a number") as refused:
        read_presets({"huge": {**shipped, "cost": 10**400}})
    assert "huge.cost" in str(refused.value)
