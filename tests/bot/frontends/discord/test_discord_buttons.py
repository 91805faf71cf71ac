"""Buttons, selects and forms under a clip."""

from __future__ import annotations

import pytest

from generation.request import Kind
from tests.fakes.discord_app import DiscordApp, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, labels, person, text_of
from tests.fakes.discord_validation import walk
from tests.fakes.discord_world import Channel, Message

MANAGE_MESSAGES, MANAGE_GUILD = 1 << 13, 1 << 5


@pytest.fixture
async def clip(server: DiscordServer, matinee: DiscordApp, ana: Person) -> Message:
    """Ana's first clip, rendered with the model that supports everything."""
    await ana.types("/video", prompt="a fox in the snow", genre="lofi", model="able", seconds=2.0)
    message = await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    return message


async def test_reroll_repeats_the_wish_with_another_seed(
    server: DiscordServer, matinee: DiscordApp, ana: Person, clip: Message
) -> None:
    reply = await ana.clicks(clip, "Re-roll")
    assert await wait_for_clip_message(server, 2) is reply.interaction.original
    first, second = [(await matinee.store.job(n)).request for n in (1, 2)]
    assert (first.prompt, first.frames) == (second.prompt, second.frames)
    assert first.seed != second.seed


async def test_new_music_is_chosen_from_the_genres(
    server: DiscordServer, matinee: DiscordApp, ana: Person, clip: Message
) -> None:
    await ana.picks(clip, "New music", "jazz")
    message = await wait_for_clip_message(server, 2)
    job = await matinee.store.job(2)
    assert (job.request.kind, job.request.music.genre, job.parent) == (Kind.MUSIC, "jazz", 1)
    assert "jazz" in text_of(message)


async def test_edit_prompt_opens_a_form_with_the_prompt(
    server: DiscordServer, matinee: DiscordApp, ana: Person, clip: Message
) -> None:
    opened = await ana.clicks(clip, "Edit prompt")
    form = await opened.modal()
    fields = {c["custom_id"]: c.get("value") for c in walk(form["components"]) if c.get("type") == 4}
    assert fields["prompt"] == "a fox in the snow"
    await ana.fills(opened, prompt="a fox in the rain")
    message = await wait_for_clip_message(server, 2)
    assert "a fox in the rain" in text_of(message)
    first, second = [(await matinee.store.job(n)).request for n in (1, 2)]
    assert (second.seed, second.music.genre) == (first.seed, "lofi")


@pytest.mark.parametrize(
    ("button", "kind"), [("Animate", Kind.ANIMATE), ("Extend", Kind.EXTEND), ("Bigger", Kind.BIGGER)]
)
async def test_a_clip_can_be_animated_extended_or_enlarged(
    server: DiscordServer, matinee: DiscordApp, ana: Person, clip: Message, button: str, kind: Kind
) -> None:
    if kind is Kind.ANIMATE:
        await ana.types("/image", prompt="a still fox", model="able")
        await wait_until_final(server, matinee, 2)
        clip = next(m for m in server.world.messages.values() if "a still fox" in text_of(m))
    before = await matinee.store.job(2 if kind is Kind.ANIMATE else 1)
    await ana.clicks(clip, button)
    number = before.id + 1
    await wait_for_clip_message(server, number)
    job = await matinee.store.job(number)
    assert (job.request.kind, job.parent) == (kind, before.id)
    assert before.clip is not None
    assert str(before.clip.path) in {job.request.image, job.request.source}


async def test_derivatives_that_a_model_lacks_have_no_button(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="plain", model="testcard")
    shown = labels(await wait_for_clip_message(server, 1))
    assert matinee.studio.presets["testcard"].limits.kinds == (Kind.VIDEO, Kind.IMAGE)
    assert not {"Animate", "Extend", "Bigger"} & set(shown)


async def test_a_recipe_is_shown_only_to_the_user_who_asked(ana: Person, clip: Message) -> None:
    reply = await ana.clicks(clip, "Recipe")
    message = await reply.says("/video prompt: a fox in the snow", "genre: lofi", "seed:")
    assert message.ephemeral


async def test_a_queued_clip_can_be_cancelled_by_its_button(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.unblocked.clear()
    await (await ana.types("/video", prompt="in front")).says("Generating frames")
    waiting = await (await ana.types("/video", prompt="not this one")).says("Clip #2 is next")
    await ana.clicks(waiting, "Cancel")
    await server.world.wait_until(lambda: "cancelled" in text_of(waiting))
    assert labels(waiting) == ["Re-roll", "Edit prompt"]
    matinee.engine.unblocked.set()
    await wait_for_clip_message(server, 1)
    assert await wait_until_final(server, matinee, 2) == "cancelled"


async def test_only_the_owner_cancels(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    matinee.engine.unblocked.clear()
    working = await (await ana.types("/video", prompt="mine")).says("Generating frames")
    reply = await person(server, "Eve", channel).clicks(working, "Cancel")
    assert (await reply.says("another user")).ephemeral
    matinee.engine.unblocked.set()
    await wait_for_clip_message(server, 1)


@pytest.mark.parametrize("who", ["owner", "moderator"])
async def test_owner_and_moderators_delete_the_message(
    server: DiscordServer, ana: Person, channel: Channel, clip: Message, who: str
) -> None:
    user = ana if who == "owner" else person(server, "Mo", channel, permissions=MANAGE_MESSAGES)
    reply = await user.clicks(clip, "Delete")
    assert (await reply.says("is deleted")).ephemeral
    assert clip.deleted


async def test_a_forged_button_deletes_no_message_of_another_user(
    server: DiscordServer, matinee: DiscordApp, channel: Channel, clip: Message
) -> None:
    eve = person(server, "Eve", channel)
    await eve.types("/video", prompt="my own clip")
    await wait_until_final(server, matinee, 2)
    reply = await eve.forges(clip, "m:delete:2")
    assert (await reply.says("There is no clip #2")).ephemeral
    assert not clip.deleted
    own = await wait_for_clip_message(server, 2)
    await (await eve.clicks(own, "Delete")).says("is deleted")
    assert own.deleted


async def test_another_user_cannot_delete_the_message(
    server: DiscordServer, channel: Channel, clip: Message
) -> None:
    reply = await person(server, "Eve", channel).clicks(clip, "Delete")
    assert (await reply.says("another user")).ephemeral
    assert not clip.deleted


async def test_a_report_is_posted_in_the_channel_that_the_admins_chose(
    server: DiscordServer, channel: Channel, clip: Message
) -> None:
    assert channel.guild is not None
    office = channel.guild.channel("office")
    boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
    await (await boss.types("/server reports", place=office)).says(f"<#{office.id}>")
    reply = await person(server, "Eve", channel).clicks(clip, "Report")
    assert (await reply.says("Thank you")).ephemeral
    posted: Message = (await server.world.wait_until(lambda: server.world.visible(office)))[0]
    assert "Clip #1 was reported" in text_of(posted)
    assert clip.id in text_of(posted)


async def test_an_edited_prompt_is_checked_like_a_command(
    server: DiscordServer, matinee: DiscordApp, ana: Person, clip: Message
) -> None:
    opened = await ana.clicks(clip, "Edit prompt")
    reply = await ana.fills(opened, prompt="something forbidden")
    assert (await reply.says("cannot make that")).ephemeral
    assert await matinee.store.waiting(1) == []
    assert server.world.violations == []


async def test_old_buttons_work_after_the_token_expired(
    server: DiscordServer, ana: Person, clip: Message
) -> None:
    for interaction in server.world.interactions.values():
        interaction.token_expired = True
    await ana.clicks(clip, "Re-roll")
    assert "a fox in the snow" in text_of(await wait_for_clip_message(server, 2))
