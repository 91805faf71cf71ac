"""Words that a model does not know are told before its clip and with it, in every chat and language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.jobs import ReplyTo, State
from bot.i18n import messages
from generation.errors import NotOffered
from generation.request import Kind, Unheard, Wish
from tests.bot.app_harness import together, who

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


async def test_who_names_no_model_gets_one_that_can_and_is_told(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        house.studio.house = replace(house.studio.house, model="pocket")
        picture = tmp_path / "picture.png"
        Image.new("RGB", (64, 64), "red").save(picture)
        wish = Wish(prompt="a red rocket", kind=Kind.ANIMATE, image=str(picture))
        ticket = await house.studio.submit(wish, who("ana"), ReplyTo(platform="fake", chat="c"))
        assert ticket.job.request.model != "pocket"
        assert f"{ticket.job.request.model} instead of pocket" in messages.adjusted(ticket.adjustments)
        with pytest.raises(NotOffered):
            await house.studio.submit(
                replace(wish, model="pocket"), who("ana"), ReplyTo(platform="fake", chat="c")
            )


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
