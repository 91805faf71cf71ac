"""A wish is completed to a request on the model's grid; rounding is reported and invalid values rejected."""

from __future__ import annotations

import json
import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import Kind, Music, Request, RequestError, Wish
from generation.errors import NotOffered, OutOfRange, PromptEmpty, PromptTooLong, UnknownChoice
from generation.models.common.preset import read_presets
from generation.request import PROMPT_LIMIT, SEED_LIMIT, Adjustment, Limits, complete, visible_text
from tests.factories import NO_MUSIC
from tests.paths import CONFIG

SHIPPED = read_presets(tomllib.loads((CONFIG / "models.toml").read_text()))
LIMITS = Limits(
    width=704,
    height=512,
    frame_step=8,
    frame_offset=1,
    aspects={"16:9": (768, 448), "1:1": (576, 576)},
    styles=("Anime", "Realistic"),
)


def completed(limits: Limits = LIMITS, **wish: Any) -> tuple[Request, tuple[Adjustment, ...]]:
    return complete(Wish(**{"prompt": "a fox", **wish}), model="m", limits=limits, music=NO_MUSIC, seed=5)


def test_missing_options_take_the_models_defaults() -> None:
    request, adjustments = completed()
    assert (request.width, request.height, request.frames, request.fps) == (704, 512, 121, 24.0)
    assert (request.steps, request.guidance, request.seed) == (20, 3.0, 5)
    assert adjustments == ()


def test_rounding_is_reported_as_an_adjustment() -> None:
    request, adjustments = completed(width=700, height=500, seconds=2.0)
    assert (request.width, request.height) == (672, 480)
    assert adjustments == (Adjustment("size", "700x500", "672x480"),)
    assert request.frames == 49


def test_an_aspect_is_a_size_of_the_model() -> None:
    assert completed(aspect="16:9")[0].width == 768


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"prompt": "  \n "}, PromptEmpty),
        ({"prompt": "x" * (PROMPT_LIMIT + 1)}, PromptTooLong),
        ({"negative": "x" * (PROMPT_LIMIT + 1)}, PromptTooLong),
        ({"seconds": -1.0}, OutOfRange),
        ({"seconds": math.nan}, OutOfRange),
        ({"fps": math.inf}, OutOfRange),
        ({"steps": 0}, OutOfRange),
        ({"guidance": -0.1}, OutOfRange),
        ({"seed": SEED_LIMIT + 1}, OutOfRange),
        ({"width": 7, "height": 7}, OutOfRange),
        ({"width": 1280, "height": 1280}, OutOfRange),
        ({"aspect": "4:3"}, UnknownChoice),
        ({"style": "Animee"}, UnknownChoice),
        ({"camera": "zoom-in"}, NotOffered),
        ({"kind": Kind.ANIMATE}, NotOffered),
    ],
)
def test_invalid_options_are_refused(wish: dict[str, Any], error: type[RequestError]) -> None:
    with pytest.raises(error):
        completed(**wish)


def test_a_typo_suggests_the_closest_choice() -> None:
    with pytest.raises(UnknownChoice) as caught:
        completed(limits=Limits(width=64, height=64, styles=("anime", "realistic")), style="animee")
    assert caught.value.near == "anime"


@given(
    name=st.sampled_from(sorted(SHIPPED)),
    share=st.floats(0, 1),
    rate=st.floats(0, 1),
    width=st.integers(1, 2000),
    height=st.integers(1, 2000),
)
def test_every_request_lies_on_its_models_grid(
    name: str, share: float, rate: float, width: int, height: int
) -> None:
    limits = SHIPPED[name].limits
    seconds = limits.min_seconds + share * (limits.max_seconds - limits.min_seconds)
    fps = limits.min_fps + rate * (limits.max_fps - limits.min_fps)
    kind = limits.kinds[0]
    try:
        request, _ = completed(limits, kind=kind, seconds=seconds, fps=fps, width=width, height=height)
    except OutOfRange:
        return
    assert request.width % limits.side_multiple == request.height % limits.side_multiple == 0
    assert request.width * request.height <= limits.max_pixels
    assert max(request.width, request.height) <= limits.max_side
    if kind is Kind.IMAGE:
        assert request.frames == 1
    else:
        assert (request.frames - limits.frame_offset) % limits.frame_step == 0
        assert 0 < request.frames <= limits.max_seconds * fps + limits.frame_offset


@given(data=st.data())
def test_a_request_round_trips_through_json(data: st.DataObject) -> None:
    text = st.text(min_size=1, max_size=40).filter(visible_text)
    request, _ = completed(
        prompt=data.draw(text),
        seed=data.draw(st.integers(0, SEED_LIMIT)),
        guidance=data.draw(st.floats(0, 20)),
        image=data.draw(st.none() | text),
    )
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request
    assert list(request.to_json()) == list(Request.__struct_fields__)  # including defaults
    assert list(request.to_json()["music"]) == list(Music.__struct_fields__)
