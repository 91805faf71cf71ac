"""An operator names who makes the music; a licence that forbids it stops the start."""

from __future__ import annotations

import pytest

from bot.domain.errors import ConfigBroken
from bot.runtime import config, settings


def read(**flags: str) -> config.Tables:
    return config.read_tables(settings.load(environment={}, flags=flags))


def test_every_maker_is_offered_and_the_band_plays_unasked() -> None:
    assert {"band", "track", "musicgen-small", "ace-step"} <= set(read().makers)


def test_a_commercial_house_is_offered_no_musicgen() -> None:
    makers = read(**{"studio.commercial": "true"}).makers
    assert {"band", "track", "ace-step"} <= set(makers)
    assert not [one for one in makers.values() if one.maker == "musicgen"]


@pytest.mark.parametrize(
    ("flags", "problem", "near"),
    [
        ({"studio.maker": "bnad"}, "there is no maker bnad", "band"),
        (
            {"studio.maker": "musicgen-small", "studio.commercial": "true"},
            "musicgen-small may not be used commercially",
            None,
        ),
    ],
)
def test_a_maker_that_cannot_be_stops_the_start(
    flags: dict[str, str], problem: str, near: str | None
) -> None:
    with pytest.raises(ConfigBroken) as told:
        read(**flags)
    assert (told.value.place, told.value.problem, told.value.near) == ("[studio] maker", problem, near)
