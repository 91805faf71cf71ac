"""Words that a model does not know are named at the submission and with the clip, in every language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.jobs import JobState
from bot.i18n import messages
from generation.errors import NotOffered
from generation.request import Kind, UnknownWords, Wish
from tests.bot.app_harness import running_app
from tests.factories import make_reply_to, make_viewer

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
        submission = await app.studio.submit(wish, make_viewer("ana"), make_reply_to())
        text = messages.adjustments_text(submission.adjustments)
        assert "does not know “glass”" in text
        assert "pocket knows: red" in text
        app.engine.finish(await app.engine_label(submission.job.id))
        await app.wait_for_state(submission.job.id, JobState.DELIVERED)
        outgoing = app.chat.outgoing_clips[0]
        assert "“glass”" in outgoing.prompt_note
        assert outgoing.prompt_note in outgoing.text


async def test_there_is_no_note_if_every_word_is_known(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        wish = Wish(prompt="a red rocket", model="pocket")
        submission = await app.studio.submit(wish, make_viewer("ana"), make_reply_to())
        assert submission.adjustments == ()
        app.engine.finish(await app.engine_label(submission.job.id))
        await app.wait_for_state(submission.job.id, JobState.DELIVERED)
        assert not app.chat.outgoing_clips[0].prompt_note


async def test_a_capable_model_is_chosen_and_named_if_none_is_given(tmp_path: Path) -> None:
    async with running_app(tmp_path, default_model="pocket") as app:
        picture = tmp_path / "picture.png"
        Image.new("RGB", (64, 64), "red").save(picture)
        wish = Wish(prompt="a red rocket", kind=Kind.ANIMATE, image=str(picture))
        submission = await app.studio.submit(wish, make_viewer("ana"), make_reply_to())
        assert submission.job.request.model != "pocket"
        assert f"{submission.job.request.model} instead of pocket" in messages.adjustments_text(
            submission.adjustments
        )
        with pytest.raises(NotOffered):
            await app.studio.submit(replace(wish, model="pocket"), make_viewer("ana"), make_reply_to())


@pytest.mark.parametrize("language", messages.languages())
def test_every_language_sanitizes_unknown_words(language: str) -> None:
    text = messages.unknown_words_text(UNKNOWN_WORDS, language)
    assert "“gl`ass”" in text
    assert "“fox”" in text
    assert "red, cat" in text
    assert len(messages.unknown_words_text(UNKNOWN_WORDS, language, brief=True)) < len(text)


def test_many_unknown_words_give_one_short_sentence() -> None:
    many = UnknownWords(
        model="pocket", words=tuple(map(str, range(900))), substitutes=(), known=(), nothing_known=False
    )
    assert len(messages.unknown_words_text(many, brief=True)) < 200
