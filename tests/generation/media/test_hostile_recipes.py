"""A recipe that no version of Matinee could have written is none: its values are shown and written again."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bot.cli.recipe_command import command_line
from bot.frontends.common.recipe_command import slash_command
from generation.media.provenance import read_recipe, recipe_data
from tests.factories import make_music, make_request
from tests.fakes import hostile_files

GOOD = recipe_data(make_request("a fox\u200d in the snow", style="noir", music=make_music(mood="calm")))

HOSTILE: dict[str, tuple[tuple[str, ...], Any]] = {
    "no frame rate": (("fps",), 0),
    "negative frame rate": (("fps",), -24.0),
    "infinite frame rate": (("fps",), math.inf),
    "frame rate that is no number": (("fps",), math.nan),
    "giant number of frames": (("frames",), 10**30),
    "more digits than Python reads": (("frames",), "DIGITS"),
    "no width": (("width",), 0),
    "giant height": (("height",), 2**63),
    "giant seed": (("seed",), 2**64),
    "negative steps": (("steps",), -1),
    "infinite guidance": (("guidance",), math.inf),
    "tempo that is no number": (("music", "bpm"), math.nan),
    "giant seed of the music": (("music", "seed"), 10**400),
    "lone surrogate in the prompt": (("prompt",), "a \ud800 fox"),
    "lone surrogate in the model": (("model",), "pocket\udfff"),
    "control characters in the style": (("style",), "noir\x1b[2J\n/admin stop"),
    "text direction in the mood": (("music", "mood"), "calm\u202e"),
    "long word": (("camera",), "x" * 100_000),
    "many instruments": (("music", "instruments"), ["piano"] * 10_000),
    "lone surrogate in an instrument": (("music", "instruments"), ["\ud800"]),
    "file of this machine": (("image",), "/etc/passwd"),
    "unknown kind": (("kind",), "window"),
    "text instead of a number": (("width",), "256"),
}


def write_recipe(folder: Path, data: object) -> Path:
    path = folder / "clip.png"
    text = json.dumps(data).replace('"DIGITS"', "9" * 5000)
    path.write_bytes(hostile_files.recipe_png(text))
    return path


def test_a_recipe_of_ours_is_read(tmp_path: Path) -> None:
    request = read_recipe(write_recipe(tmp_path, GOOD))
    assert request is not None
    assert "noir" in slash_command(request)
    assert "noir" in str(command_line(request))


@pytest.mark.parametrize("name", HOSTILE)
def test_an_impossible_recipe_is_none(name: str, tmp_path: Path) -> None:
    data: dict[str, Any] = copy.deepcopy(GOOD)
    (*path, last), value = HOSTILE[name]
    place = data
    for step in path:
        place = place[step]
    place[last] = value
    assert read_recipe(write_recipe(tmp_path, data)) is None


@pytest.mark.parametrize("data", [None, 7, [], "text", {}, {"prompt": "a"}, GOOD | {"music": []}])
def test_json_of_another_shape_is_no_recipe(data: object, tmp_path: Path) -> None:
    assert read_recipe(write_recipe(tmp_path, data)) is None
