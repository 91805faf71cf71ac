"""Music makers are configured in a file; a commercial operator is offered only those it may use."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from generation.music.common.preset import MusicPresetBroken, allowed_presets, read_music_presets
from generation.music.common.registry import makers
from tests.paths import CONFIG


def shipped() -> dict[str, Any]:
    return tomllib.loads((CONFIG / "music.toml").read_text(encoding="utf-8"))


def test_every_shipped_preset_has_a_maker_and_a_licence() -> None:
    for one in read_music_presets(shipped()).values():
        assert one.maker in makers()
        assert one.licence
        assert one.title


def test_a_commercial_operator_is_never_offered_musicgen() -> None:
    presets = read_music_presets(shipped())
    allowed = allowed_presets(presets, commercial=True)
    assert {"band", "track", "ace-step"} <= set(allowed)
    assert not [name for name in allowed if presets[name].maker == "musicgen"]
    assert set(allowed_presets(presets, commercial=False)) == set(presets)


def test_engine_options_are_plain_data_with_the_genres() -> None:
    options = read_music_presets(shipped())["ace-step"].engine_options({"lofi": {"title": "x"}})
    assert options["maker"] == "acestep"
    assert options["steps"] == 8
    assert options["genres"] == {"lofi": {"title": "x"}}


@pytest.mark.parametrize(
    ("table", "place", "near"),
    [
        ({"maker": "band"}, "x.title", None),
        ({"maker": "band", "title": "B", "licens": "MIT"}, "x.licens", "licence"),
        ({"maker": "band", "title": 3}, "x.title", None),
        ({"maker": "band", "title": "B", "commercial_ok": "yes"}, "x.commercial_ok", None),
        ("band", "x", None),
    ],
)
def test_an_invalid_entry_is_reported_with_its_place(table: Any, place: str, near: str | None) -> None:
    with pytest.raises(MusicPresetBroken) as caught:
        read_music_presets({"x": table})
    assert (caught.value.place, caught.value.near) == (place, near)
