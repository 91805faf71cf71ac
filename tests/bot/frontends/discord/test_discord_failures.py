"""Failures of Discord: each clip is sent exactly once, or its credits are returned."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.jobs import JobState
from bot.frontends.discord.frontend import DiscordFrontend
from bot.frontends.discord.settings import FrontendSettings
from bot.maintenance.backups import create_backup, restore
from bot.studio.access import Viewer
from tests.fakes.discord_app import (
    DiscordApp,
    discord_app,
    messages_with_clip,
    wait_for_clip_message,
    wait_until_final,
)
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, labels, person, text_of
from tests.fakes.discord_validation import BUTTON
from tests.fakes.discord_world import COMPONENTS_V2, Channel, Guild

pytestmark = pytest.mark.slow

EXPIRED_TOKEN_AGE = 15 * 60.0


@pytest.mark.parametrize("session_lost", [False, True], ids=["op 7", "op 9"])
async def test_a_dropped_gateway_loses_no_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person, *, session_lost: bool
) -> None:
    matinee.engine.unblocked.clear()
    await (await ana.types("/video", prompt="before")).says("Generating frames")
    await server.world.wait_until(lambda: server.world.presence)
    server.gateway.rejects_resume = session_lost
    server.world.presence = None
    if session_lost:
        await server.gateway.close_all(4000)
        await server.world.wait_until(
            lambda: server.gateway.identifies == 2 and server.gateway.connected_sessions
        )
        assert "queue" in str(server.world.presence) or "free" in str(server.world.presence)
    else:
        await server.gateway.send_all(7)
        await server.world.wait_until(lambda: server.gateway.resumes)
    await ana.types("/video", prompt="after")
    matinee.engine.unblocked.set()
    assert "before" in text_of(await wait_for_clip_message(server, 1))
    assert "after" in text_of(await wait_for_clip_message(server, 2))
    assert matinee.engine.rendered == ["1.1", "2.1"]


@pytest.mark.parametrize("code", [1000, 4000, 4008, 4009])
async def test_the_bot_reconnects_after_every_recoverable_close(
    server: DiscordServer, matinee: DiscordApp, ana: Person, code: int
) -> None:
    before = server.gateway.identifies + server.gateway.resumes
    await server.gateway.close_all(code)
    gateway = server.gateway
    await server.world.wait_until(
        lambda: gateway.identifies + gateway.resumes > before and gateway.connected_sessions
    )
    await (await ana.types("/queue")).says("The queue is empty")
    assert matinee.frontend.name == "discord"


async def test_an_invalid_token_ends_only_the_discord_frontend(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    assert channel.guild is not None
    async with discord_app(tmp_path / "data", server.connector(), server.token) as running:
        other = DiscordFrontend(running.studio, "MTA0.wrong.token", connector=server.connector())
        await other.run()
        await server.world.wait_until(lambda: server.gateway.connected_sessions)
    assert server.statuses[401] == 1


def guild_on_shard(server: DiscordServer, shard: int) -> Guild:
    """Create a server that belongs to this one of two shards."""
    while True:
        guild = server.world.guild(f"On shard {shard}")
        if (int(guild.id) >> 22) % 2 == shard:
            return guild
        del server.world.guilds[guild.id]


async def test_a_sharded_bot_serves_the_servers_of_every_shard(server: DiscordServer, tmp_path: Path) -> None:
    channels = [guild_on_shard(server, shard).channel("general") for shard in (0, 1)]
    settings = FrontendSettings(sharded=True)
    async with discord_app(tmp_path / "data", server.connector(), server.token, settings=settings) as running:
        await server.world.wait_until(
            lambda: server.world.commands and len(server.gateway.connected_sessions) == 2
        )
        for number, channel in enumerate(channels, start=1):
            ana = person(server, "Ana", channel)
            await ana.types("/video", prompt="on its own shard")
            clip = await wait_for_clip_message(server, number)
            assert clip.channel is channel
            await (await ana.clicks(clip, "Recipe")).says("on its own shard")
        await server.world.wait_until(lambda: server.world.presence)
        assert running.frontend.is_connected()
    assert {session.shard for session in server.gateway.sessions} == {(0, 2), (1, 2)}


@pytest.mark.parametrize("age", [0.0, EXPIRED_TOKEN_AGE], ids=["by its token", "through the channel"])
async def test_plain_messages_are_sent_where_cards_are_refused(
    server: DiscordServer, matinee: DiscordApp, ana: Person, age: float
) -> None:
    refused = server.add_fault("", "", status=400, code=50035, times=10**6, cards=True)
    refused.method = "PATCH" if age == 0.0 else "POST"
    await ana.types("/video", prompt="a fox in plain words", age=age)
    clip = await wait_for_clip_message(server, 1)
    assert refused.hits
    assert not clip.flags & COMPONENTS_V2
    assert "a fox in plain words" in clip.content
    assert {"Re-roll", "Edit prompt", "Recipe", "Delete", "Report"} <= set(labels(clip))
    refused.times = 0
    await ana.clicks(clip, "Re-roll")
    assert "a fox in plain words" in text_of(await wait_for_clip_message(server, 2))
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


@pytest.mark.parametrize(("refusals", "state"), [(2, JobState.DELIVERED), (3, JobState.FAILED)])
async def test_a_clip_is_shrunk_twice_before_its_job_fails(
    server: DiscordServer, matinee: DiscordApp, ana: Person, refusals: int, state: JobState
) -> None:
    server.add_fault("PATCH", "/webhooks/", status=413, code=40005, uploads=True, times=refusals)
    matinee.engine.size = 40_000
    reply = await ana.types("/video", prompt="large")
    assert await wait_until_final(server, matinee, 1) is state
    if state is JobState.FAILED:
        await reply.says("No watchable clip fits", "Your credits are back")
        balance = await matinee.studio.balance(Viewer.owner_of(await matinee.store.job(1)))
        assert balance.left == balance.limit
    else:
        assert len((await wait_for_clip_message(server, 1)).attachments[0].data) == 25_600


async def test_a_clip_for_a_deleted_channel_is_sent_as_a_direct_message(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    matinee.engine.unblocked.clear()
    await ana.types("/video", prompt="homeless", age=EXPIRED_TOKEN_AGE)
    await server.world.wait_until(lambda: server.world.interactions)
    channel.deleted = True
    matinee.engine.unblocked.set()
    assert (await wait_for_clip_message(server, 1)).channel.recipient is ana.user
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


@pytest.mark.parametrize(
    "trouble", [{"retry_after": 0.05}, {"status": 502}, {"status": 502, "commit": True}], ids=str
)
async def test_rate_limits_and_server_errors_send_the_clip_once(
    server: DiscordServer, matinee: DiscordApp, ana: Person, trouble: dict[str, float]
) -> None:
    fault = server.add_fault("PATCH", "/webhooks/", uploads=True, **trouble)
    await ana.types("/video", prompt="in the rain")
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED
    assert fault.hits == 1
    assert len(messages_with_clip(server, 1)) == 1


async def test_a_token_that_expires_early_falls_back_to_the_channel(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    server.add_fault("PATCH", "/webhooks/", status=401, code=50027, times=100)
    reply = await ana.types("/video", prompt="too soon")
    clip = await wait_for_clip_message(server, 1)
    assert reply.interaction.original is not None
    assert clip.reference == reply.interaction.original.id
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_a_clip_is_sent_without_a_reply_where_replies_are_refused(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    server.add_fault("POST", "/messages$", status=403, code=160002)
    await ana.types("/video", prompt="no looking back", age=EXPIRED_TOKEN_AGE)
    clip = await wait_for_clip_message(server, 1)
    assert (clip.channel, clip.reference) == (channel, None)
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED


async def test_a_private_clip_with_an_expired_token_is_sent_as_one_direct_message(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    lost = server.add_fault("POST", "/messages$", drop=True, commit=True)
    await ana.types("/video", prompt="for my eyes", private=True, age=EXPIRED_TOKEN_AGE)
    await server.world.wait_until(lambda: lost.hits)
    server.rest.forget_nonces()
    assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED
    assert [clip.channel.recipient for clip in messages_with_clip(server, 1)] == [ana.user]


async def press_stale_button(user: Person, source: str, custom_id: str) -> Person:
    """Press a button that only an outdated client still shows."""
    message = user.server.world.messages[source]
    message.components = [
        {"type": 1, "components": [{"type": BUTTON, "style": 2, "label": "?", "custom_id": custom_id}]}
    ]
    await user.clicks(message, "?")
    return user


@pytest.mark.parametrize(
    ("custom_id", "explanation"),
    [
        ("m:reroll:999", "There is no clip #999"),
        ("m:edit:999", "There is no clip #999"),
        ("m:dance:1", "There is no button called"),
    ],
)
async def test_a_stale_button_explains_itself(
    server: DiscordServer, matinee: DiscordApp, ana: Person, custom_id: str, explanation: str
) -> None:
    await ana.types("/video", prompt="a fox")
    clip = await wait_for_clip_message(server, 1)
    await press_stale_button(ana, clip.id, custom_id)
    answers = lambda: [m for m in server.world.messages.values() if explanation in text_of(m)]  # noqa: E731  (called often)
    answer = (await server.world.wait_until(answers))[0]
    assert answer.ephemeral
    assert matinee.engine.rendered == ["1.1"]


async def test_new_music_for_a_deleted_clip_points_to_its_recipe(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="once upon a time")
    message = await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    clip = (await matinee.store.job(1)).clip
    assert clip is not None
    clip.path.unlink()
    await (await ana.picks(message, "New music", "jazz")).says("has been deleted", "recipe")


async def test_after_a_restore_send_again_sends_the_clip_and_shows_no_error(
    server: DiscordServer, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup.db"
    assert channel.guild is not None
    server.add_fault("PATCH", "/messages", status=503, uploads=True, times=1000)
    async with discord_app(data, server.connector(), server.token) as matinee:
        await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
        reply = await ana.types("/video", prompt="a fox")
        await server.world.wait_until(lambda: any(fault.hits for fault in server.faults))
        assert (await matinee.store.job(1)).clip is not None
        create_backup(data, backup)
    server.faults.clear()
    assert restore(backup, data).uncertain == 1
    async with discord_app(data, server.connector(), server.token) as matinee:
        gateway = server.gateway
        await server.world.wait_until(lambda: gateway.identifies == 2 and gateway.connected_sessions)
        status = await reply.says("send it again")
        pressed = await ana.clicks(status, "Send again")
        await wait_for_clip_message(server, 1)
        assert await wait_until_final(server, matinee, 1) is JobState.DELIVERED
        assert len(messages_with_clip(server, 1)) == 1
        shown = [message for message in pressed.interaction.followups if not message.deleted]
        assert not shown, [text_of(message) for message in shown]


async def test_send_again_explains_that_the_clip_has_arrived(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="a fox")
    clip = await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    pressed = await press_stale_button(ana, clip.id, "m:again:1")
    answers = lambda: [m for m in pressed.server.world.messages.values() if m.ephemeral]  # noqa: E731  (called often)
    answer = (await server.world.wait_until(answers))[0]
    assert "#1" in text_of(answer)
    assert len(matinee.engine.rendered) == 1
