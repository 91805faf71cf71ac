"""From a command to the delivered clip, as the chat shows it."""

from __future__ import annotations

import asyncio
import threading

import discord
import pytest

from bot.domain.jobs import JobState
from bot.store.store import LinkSide
from bot.studio.access import Viewer
from tests.fakes.discord_app import (
    DiscordApp,
    messages_with_clip,
    wait_for_clip_message,
    wait_until_final,
)
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, labels, person, text_of
from tests.fakes.discord_world import THREAD, Channel
from tests.fakes.engine import clip_bytes


async def test_the_answer_to_video_becomes_the_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    reply = await ana.types("/video", prompt="a fox in the snow", genre="lofi", seconds=2.0)
    message = await wait_for_clip_message(server, 1)
    job = await matinee.store.job(1)
    assert reply.interaction.ack_type == 5
    assert message is reply.interaction.original
    assert message.attachments[0].data == clip_bytes(job.id, 4096)
    assert "a fox in the snow" in text_of(message)
    assert "lofi" in text_of(message)
    assert {"Re-roll", "New music", "Edit prompt", "Recipe", "Delete", "Report"} <= set(labels(message))
    assert message.mentions == []


async def test_the_answer_shows_queue_position_and_progress_before_the_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.unblocked.clear()
    first = await ana.types("/video", prompt="one")
    working = await first.says("Generating frames 25 %", "▰")
    second = await ana.types("/video", prompt="two")
    waiting = await second.says("Clip #2 is next", "Music:")
    assert labels(working) == labels(waiting) == ["Cancel"]
    matinee.engine.unblocked.set()
    assert await wait_for_clip_message(server, 1) is working
    assert await wait_for_clip_message(server, 2) is waiting


async def test_unknown_words_are_shown_before_and_with_the_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.unblocked.clear()
    await ana.types("/video", prompt="in front")
    waiting = await ana.types("/video", prompt="a glass rocket", model="pocket")
    await waiting.says("does not know “glass”", "pocket knows: red")
    matinee.engine.unblocked.set()
    assert "does not know “glass”" in text_of(await wait_for_clip_message(server, 2))


async def test_only_its_requester_sees_a_private_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="my secret", private=True)
    message = await wait_for_clip_message(server, 1)
    assert message.ephemeral
    assert message.visible_to is ana.user
    assert (await matinee.store.job(1)).reply_to.private


async def test_with_an_expired_token_the_clip_is_a_reply_in_the_channel(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.unblocked.clear()
    reply = await ana.types("/video", prompt="slow and beautiful")
    status = await reply.says("Generating frames")
    reply.interaction.token_expired = True
    matinee.engine.unblocked.set()
    message = await wait_for_clip_message(server, 1)
    assert message is not status
    assert message.reference == status.id
    assert message.nonce == "matinee-1"
    await server.world.wait_until(lambda: "is ready below" in text_of(status))
    assert f"/{message.id}" in text_of(status)


async def test_an_old_token_is_not_used(server: DiscordServer, matinee: DiscordApp, ana: Person) -> None:
    reply = await ana.types("/video", prompt="asked long ago", age=15 * 60)
    message = await wait_for_clip_message(server, 1)
    assert message is not reply.interaction.original
    edits = [
        e["request"] for e in server.world.transcript if "PATCH /api/v10/webhooks" in e.get("request", "")
    ]
    assert edits == []
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_a_send_without_a_response_is_repeated_and_shows_once(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    server.add_fault("POST", "/messages$", status=503, commit=True)
    await ana.types("/video", prompt="twice or once", age=15 * 60)
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED
    assert len(messages_with_clip(server, 1)) == 1


async def test_a_clip_sent_long_ago_is_found_again_without_its_nonce(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    lost = server.add_fault("POST", "/messages$", drop=True, commit=True)
    await ana.types("/video", prompt="once", age=15 * 60)
    await server.world.wait_until(lambda: lost.hits)
    server.rest.forget_nonces()
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED
    assert len(messages_with_clip(server, 1)) == 1


@pytest.mark.parametrize("refusal", [50001, 50013])
async def test_a_clip_for_a_closed_channel_is_sent_as_a_direct_message(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel, refusal: int
) -> None:
    channel.refusal_code = refusal
    await ana.types("/video", prompt="to me then", age=15 * 60)
    message = await wait_for_clip_message(server, 1)
    assert message.channel.recipient is ana.user
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_credits_are_returned_when_no_delivery_route_is_left(
    server: DiscordServer, matinee: DiscordApp, channel: Channel
) -> None:
    shy = person(server, "Shy", channel, takes_dms=False)
    channel.refusal_code = 50013
    reply = await shy.types("/video", prompt="nowhere", age=15 * 60)
    await reply.acknowledged()
    await server.world.wait_until(lambda: server.world.dms)
    assert await wait_until_final(server, matinee, 1) is JobState.FAILED
    job = await matinee.store.job(1)
    balance = await matinee.studio.balance(Viewer.owner_of(job))
    assert balance.left == balance.limit
    assert messages_with_clip(server, 1) == []


async def test_a_clip_that_is_refused_for_its_size_is_sent_smaller(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    server.add_fault("PATCH", "/webhooks/", status=413, code=40005, uploads=True)
    matinee.engine.size = 40_000
    await ana.types("/video", prompt="large")
    message = await wait_for_clip_message(server, 1)
    assert len(message.attachments[0].data) == 32_000


async def test_the_current_upload_limit_is_stored_with_the_job(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    ana.upload_limit = 2_000_000
    matinee.engine.size = 4_000_000
    await ana.types("/video", prompt="large")
    message = await wait_for_clip_message(server, 1)
    assert len(message.attachments[0].data) == 1_940_000
    assert server.statuses[413] == 0


async def test_an_upload_limit_too_small_for_any_clip_is_refused_uncharged(
    matinee: DiscordApp, ana: Person
) -> None:
    ana.upload_limit = 10_000
    reply = await ana.types("/video", prompt="too small a place")
    assert (await reply.says("A clip this long does not fit under 10 kB")).ephemeral
    assert await matinee.store.waiting(1) == []


async def test_a_refused_prompt_is_answered_privately_and_costs_nothing(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    reply = await ana.types("/video", prompt="something forbidden")
    message = await reply.says("I cannot make that")
    assert message.ephemeral
    assert [m for m in server.world.visible(channel) if not m.ephemeral] == []
    assert await matinee.store.waiting(1) == []


async def test_a_late_acknowledgement_creates_no_job(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    late = server.add_fault("POST", "/callback$", status=404, code=10062)
    await ana.types("/video", prompt="too late")
    await server.world.wait_until(lambda: late.hits)
    reply = await ana.types("/history")
    await reply.says("You have no clips yet")
    assert await matinee.store.waiting(1) == []


async def test_a_command_is_acknowledged_while_the_database_is_blocked(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    """Nothing is awaited before it, so a slow disk never breaks Discord's limit of three seconds."""
    release, database = threading.Event(), matinee.store._database
    blocked = [
        asyncio.ensure_future(call(lambda _: release.wait(60))) for call in (database.read, database.write)
    ]
    try:
        reply = await ana.types("/video", prompt="a slow disk")
        await reply.acknowledged()
        assert not any(task.done() for task in blocked)
    finally:
        release.set()
        await asyncio.gather(*blocked)
    assert await wait_for_clip_message(server, 1) is reply.interaction.original


async def test_a_repeated_interaction_creates_one_job(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    reply = await ana.types("/video", prompt="echo")
    await ana.resends(reply)
    await wait_for_clip_message(server, 1)
    await server.world.wait_until(lambda: server.statuses[400])
    listed = await (await ana.types("/history")).says("#1")
    assert "#2" not in text_of(listed)
    assert len(messages_with_clip(server, 1)) == 1
    assert matinee.engine.rendered == ["1.1"]


async def test_an_acknowledgement_whose_response_was_lost_is_recognized(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    server.add_fault("POST", "/callback$", status=502, commit=True)
    reply = await ana.types("/video", prompt="lost answer")
    assert await wait_for_clip_message(server, 1) is reply.interaction.original
    assert matinee.engine.rendered == ["1.1"]


async def test_a_clip_asked_for_in_a_thread_is_sent_there(
    server: DiscordServer, matinee: DiscordApp, channel: Channel
) -> None:
    assert channel.guild is not None
    thread = channel.guild.channel("premiere", THREAD, parent=channel)
    await person(server, "Ben", thread).types("/video", prompt="in the thread", age=15 * 60)
    assert (await wait_for_clip_message(server, 1)).channel is thread
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_direct_messages_work_like_a_server(server: DiscordServer, matinee: DiscordApp) -> None:
    user = server.world.user("Cleo")
    alone = Person(server, user, server.world.dm(user))
    await alone.types("/video", prompt="just for us", age=15 * 60)
    assert (await wait_for_clip_message(server, 1)).channel is alone.channel
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_in_a_server_without_the_bot_the_user_is_warned_and_gets_the_clip(
    server: DiscordServer, matinee: DiscordApp
) -> None:
    elsewhere = server.world.guild("Elsewhere", has_bot=False).channel("chat")
    matinee.engine.unblocked.clear()
    reply = await person(server, "Dan", elsewhere).types("/video", prompt="brought along")
    await reply.says("I am not a member here")
    matinee.engine.unblocked.set()
    assert await wait_for_clip_message(server, 1) is reply.interaction.original


async def test_only_users_who_enabled_pings_are_mentioned(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await (await ana.types("/settings", ping=True)).says("Mention me", "yes")
    await ana.types("/video", prompt="call me, not @everyone or <@1>", age=15 * 60)
    message = await wait_for_clip_message(server, 1)
    assert message.mentions == [ana.user.id]
    assert ana.mention in text_of(message)
    assert "@everyone" not in text_of(message)
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_operators_use_the_shared_admin_verbs(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="a fox in the snow")
    await wait_for_clip_message(server, 1)
    ana.permissions = discord.Permissions(manage_guild=True).value
    grant = f"quota grant {ana.user.id} 5"
    await (await ana.types("/admin", line=grant)).says("Only an admin")
    matinee.frontend.client.handlers.operators = frozenset({int(ana.user.id)})
    await (await ana.types("/admin", line=grant)).says("was granted 5 credits")
    await (await ana.types("/admin", line="audit")).says("quota grant")


async def test_personal_data_is_deleted_on_request(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="a fox in the snow")
    await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    asked = await (await ana.types("/privacy", do="delete")).says("cannot be undone")
    await (await ana.clicks(asked, "Delete everything")).says("1 clips")
    assert (await matinee.store.job(1)).request.prompt == ""


async def test_a_code_links_two_platforms(matinee: DiscordApp, ana: Person) -> None:
    code = await matinee.store.create_link_code(LinkSide("telegram:5", "Ada", "en"))
    question = await (await ana.types("/settings", link=code)).says("Link with Ada")
    await (await ana.clicks(question, "Link them")).says("the other side has to confirm")
    request = await matinee.store.pending_link_request("telegram:5")
    assert request is not None
    assert (await matinee.store.answer_link_request("telegram:5", request.id, agree=True)).complete
    await (await ana.types("/settings", link="NONSENSE")).says("This code is wrong")
