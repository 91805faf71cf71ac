"""Words that a model does not know are told before its clip and with it, in every chat and language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.jobs import JobState, ReplyTo
from bot.i18n import messages
from generation.errors import NotOffered
from generation.request import Kind, UnknownWords, Wish
from tests.bot.app_harness import make_requester, running_app

UNKNOWN_WORDS = UnknownWords(
    model="pocket",
    words=("gl`ass\u202e",),
    substitutes=(("fox", "cat"),),
    known=("red", "cat"),
    nothing_known=False,
)


async def test_unknown_words_are_named_at_submit_and_with_the_clip(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        wish = Wish(prompt="a glass rocket", model="pocket")
        ticket = await app.studio.submit(wish, make_requester("ana"), ReplyTo(platform="fake", chat="c"))
        said = messages.adjustments_text(ticket.adjustments)
        assert "does not know “glass”" in said
        assert "pocket knows: red" in said
        app.engine.finish(await app.engine_label(ticket.job.id))
        await app.wait_for_state(ticket.job.id, JobState.DELIVERED)
        parcel = app.chat.outgoing_clips[0]
        assert "“glass”" in parcel.prompt_note
        assert parcel.prompt_note in parcel.text


async def test_nothing_is_said_if_every_word_is_known(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        wish = Wish(prompt="a red rocket", model="pocket")
        ticket = await app.studio.submit(wish, make_requester("ana"), ReplyTo(platform="fake", chat="c"))
        assert ticket.adjustments == ()
        app.engine.finish(await app.engine_label(ticket.job.id))
        await app.wait_for_state(ticket.job.id, JobState.DELIVERED)
        assert not app.chat.outgoing_clips[0].prompt_note


async def test_a_capable_model_is_chosen_and_named_if_none_is_given(tmp_path: Path) -> None:
    async with running_app(tmp_path, default_model="pocket") as app:
        picture = tmp_path / "picture.png"
        Image.new("RGB", (64, 64), "red").save(picture)
        wish = Wish(prompt="a red rocket", kind=Kind.ANIMATE, image=str(picture))
        ticket = await app.studio.submit(wish, make_requester("ana"), ReplyTo(platform="fake", chat="c"))
        assert ticket.job.request.model != "pocket"
        assert f"{ticket.job.request.model} instead of pocket" in messages.adjustments_text(
            ticket.adjustments
        )
        with pytest.raises(NotOffered):
            await app.studio.submit(
                replace(wish, model="pocket"), make_requester("ana"), ReplyTo(platform="fake", chat="c")
            )


@pytest.mark.parametrize("language", messages.languages())
def test_every_language_sanitizes_unknown_words(language: str) -> None:
    said = messages.unknown_words_text(UNKNOWN_WORDS, language)
    assert "“gl`ass”" in said
    assert "“fox”" in said
    assert "red, cat" in said
    assert len(messages.unknown_words_text(UNKNOWN_WORDS, language, brief=True)) < len(said)


def test_many_unknown_words_give_one_short_sentence() -> None:
    many = UnknownWords(
        model="pocket", words=tuple(map(str, range(900))), substitutes=(), known=(), nothing_known=False
    )
    assert len(messages.unknown_words_text(many, brief=True)) < 200
