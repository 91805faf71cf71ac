"""The optional look at a clip's frames: the real detector where it is installed."""

from __future__ import annotations

import pytest

from generation.media import nsfw
from generation.media.nsfw import Sighting, look, sighting
from tests.generation.media.conftest import moving


def test_the_surest_explicit_thing_counts_and_nothing_else() -> None:
    found = [
        {"class": "FACE_FEMALE", "score": 0.99},
        {"class": "BUTTOCKS_EXPOSED", "score": 0.4},
        {"class": "FEMALE_BREAST_EXPOSED", "score": 0.7},
    ]
    assert sighting(found, 3) == Sighting("FEMALE_BREAST_EXPOSED", 0.7, 3)
    assert sighting(found[:1], 3) == Sighting(frame=3)


@pytest.mark.filterwarnings("default")
async def test_a_harmless_clip_is_seen_as_harmless() -> None:
    if not nsfw.available():
        pytest.skip("the safety extra is not installed")
    assert (await look(moving(8, 320, 240), samples=2)).certainty == 0
