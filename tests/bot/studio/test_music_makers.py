"""Music makers: the operator chooses one, and a licence that forbids it prevents the start."""

from __future__ import annotations

import pytest

from bot.domain.errors import ConfigBroken
from bot.runtime import config, settings


def read_config_with(**flags: str) -> config.NamedTables:
    return config.read_tables(settings.load(environment={}, flags=flags))


def test_every_maker_is_offered() -> None:
    assert {"band", "track", "musicgen-small", "ace-step"} <= set(read_config_with().makers)


def test_a_commercial_instance_is_not_offered_musicgen() -> None:
    makers = read_config_with(**{"studio.commercial": "true"}).makers
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
def test_an_unusable_maker_prevents_the_start(flags: dict[str, str], problem: str, near: str | None) -> None:
    with pytest.raises(ConfigBroken) as caught:
        read_config_with(**flags)
    assert (caught.value.place, caught.value.problem, caught.value.near) == ("[studio] maker", problem, near)
