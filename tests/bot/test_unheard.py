"""Words that a model does not know are told before its clip and with it, in every chat and language."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import messages
from bot.job import ReplyTo, State
from generation.request import Unheard, Wish
from tests.bot.house import together, who

MISSED = Unheard(
    model="pocket", words=("gl`ass\u202e",), stand_ins=(("fox", "cat"),), knows=("red", "cat"), nothing=False
)


async def test_they_are_told_with_the_place_and_with_the_clip(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        wish = Wish(prompt="a glass rocket", model="pocket")
        ticket = await house.studio.submit(wish, who("ana"), ReplyTo(platform="fake", chat="c"))
        said = messages.adjusted(ticket.adjustments)
        assert "does not know “glass”" in said
        assert "pocket knows: red" in said
        house.engine.finish(await house.label(ticket.job.id))
        await house.reached(ticket.job.id, State.DELIVERED)
        parcel = house.chat.parcels[0]
        assert "“glass”" in parcel.aside
        assert parcel.aside in parcel.text


async def test_nothing_is_said_where_every_word_is_known(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        wish = Wish(prompt="a red rocket", model="pocket")
        ticket = await house.studio.submit(wish, who("ana"), ReplyTo(platform="fake", chat="c"))
        assert ticket.adjustments == ()
        house.engine.finish(await house.label(ticket.job.id))
        await house.reached(ticket.job.id, State.DELIVERED)
        assert not house.chat.parcels[0].aside


@pytest.mark.parametrize("language", messages.languages())
def test_every_language_names_them_harmlessly(language: str) -> None:
    said = messages.unheard(MISSED, language)
    assert "“gl`ass”" in said
    assert "“fox”" in said
    assert "red, cat" in said
    assert len(messages.unheard(MISSED, language, briefly=True)) < len(said)


def test_a_flood_of_them_stays_one_short_sentence() -> None:
    many = Unheard(model="pocket", words=tuple(map(str, range(900))), stand_ins=(), knows=(), nothing=False)
    assert len(messages.unheard(many, briefly=True)) < 200
