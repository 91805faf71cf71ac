"""Settings of servers and operators: tiers, age restriction, previews, permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.domain.quota import Tier
from bot.frontends.discord.settings import FrontendSettings
from tests.bot.store.conftest import write_rows
from tests.fakes.discord_app import DiscordApp, discord_app, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.discord_world import FORUM, THREAD, Channel

MANAGE_GUILD = 1 << 5
TIERS = (Tier(name="patron", credits=50, open=True), Tier(name="crew", unlimited=True))


@asynccontextmanager
async def connected_app(server: DiscordServer, folder: Path, **options: Any) -> AsyncIterator[DiscordApp]:
    async with discord_app(folder / "data", server.connector(), server.token, **options) as running:
        await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
        yield running


async def test_a_server_grants_open_tiers_to_its_roles(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    assert channel.guild is not None
    gold, staff = channel.guild.role("Gold"), channel.guild.role("Staff")
    boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
    fan = person(server, "Fan", channel, roles=(gold.id,))
    async with connected_app(server, tmp_path, tiers=TIERS, credits_=10) as matinee:
        await (await fan.types("/quota")).says("10 of 10")
        offered = await boss.completes("/server tier", focused="tier", role=gold, tier="")
        assert [choice["value"] for choice in offered] == ["patron"]
        await (await boss.types("/server tier", role=gold, tier="patron")).says(f"<@&{gold.id}> patron")
        await (await fan.types("/quota")).says("50 of 50")
        refused = await boss.types("/server tier", role=staff, tier="crew")
        await refused.says("Only the operator of Matinee can give the tier crew")
        await (await boss.types("/server tier", role=gold, tier="gold")).says("no tier called")
        matinee.frontend.client.handlers.operators = frozenset({int(boss.user.id)})
        await (await boss.types("/server tier", role=staff, tier="crew")).says(f"<@&{staff.id}> crew")
        await (await boss.types("/server tier", role=gold)).says(f"<@&{staff.id}> crew")
        await (await fan.types("/quota")).says("10 of 10")


async def test_restricted_commands_are_only_in_age_restricted_channels(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    assert channel.guild is not None
    late = channel.guild.channel("late show", nsfw=True)
    async with connected_app(server, tmp_path, settings=FrontendSettings(restricted=True)):
        commands = server.world.commands
        assert {name for name, command in commands.items() if command.get("nsfw")} == {
            *(f"1:{name}" for name in ("video", "image", "animate", "music")),
            "3:Animate this",
        }
        await person(server, "Ana", late).types("/video", prompt="for grown-ups")
        assert (await wait_for_clip_message(server, 1)).channel is late


async def test_a_better_queue_position_is_shown(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    ana = person(server, "Ana", channel)
    async with connected_app(server, tmp_path, settings=FrontendSettings(update_interval=0.05)) as matinee:
        matinee.engine.unblocked.clear()
        await (await ana.types("/video", prompt="first")).says("Generating frames")
        second = await (await ana.types("/video", prompt="second")).says("is next")
        third = await (await ana.types("/video", prompt="third")).says("Clips before it: 1")
        shown = await server.world.wait_until(lambda: server.world.presence)
        assert shown["activities"][0]["state"]
        await server.world.wait_until(lambda: "3 in" in str(server.world.presence))
        await ana.clicks(second, "Cancel")
        await server.world.wait_until(lambda: "Clip #3 is next" in text_of(third))
        matinee.engine.unblocked.set()
        await wait_for_clip_message(server, 3)


async def record_render_time(matinee: DiscordApp, ana: Person, seconds: float) -> None:
    """Record that one clip took this long."""
    await ana.types("/video", prompt="measured")
    await wait_until_final(ana.server, matinee, 1)
    sql = "UPDATE job SET started_at = finished_at - ?"
    await write_rows(matinee.store, lambda c: c.execute(sql, (seconds,)).rowcount)


@pytest.mark.parametrize(("seconds", "count"), [(1200.0, 1), (5.0, 0)])
async def test_a_user_install_is_warned_only_if_the_job_may_outlast_the_token(
    server: DiscordServer, matinee: DiscordApp, ana: Person, seconds: float, count: int
) -> None:
    await record_render_time(matinee, ana, seconds)
    elsewhere = server.world.guild("Elsewhere", has_bot=False).channel("chat")
    matinee.engine.unblocked.clear()
    await (await ana.types("/video", prompt="in front")).says("Generating frames")
    reply = await person(server, "Dan", elsewhere).types("/video", prompt="brought along")
    await reply.says("is next", "Ready in")
    if count:
        await reply.says("probably take more than 15 minutes")
    matinee.engine.unblocked.set()
    await wait_for_clip_message(server, 3)
    followups = [text_of(message) for message in reply.interaction.followups]
    assert sum("probably take more than 15 minutes" in text for text in followups) == count
    assert not any("if this takes more" in text for text in followups)


async def test_a_user_install_gets_a_late_clip_as_a_direct_message(
    server: DiscordServer, matinee: DiscordApp
) -> None:
    elsewhere = server.world.guild("Elsewhere", has_bot=False).channel("chat")
    dan = person(server, "Dan", elsewhere)
    matinee.engine.unblocked.clear()
    reply = await dan.types("/video", prompt="a long one")
    await reply.says("Generating frames")
    reply.interaction.token_expired = True
    matinee.engine.unblocked.set()
    assert (await wait_for_clip_message(server, 1)).channel.recipient is dan.user


async def test_a_preview_is_shown_if_the_operator_enabled_it(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    async with connected_app(server, tmp_path, settings=FrontendSettings(preview=True)) as matinee:
        matinee.engine.preview = b"\xff\xd8 a first look"
        matinee.engine.unblocked.clear()
        reply = await person(server, "Ana", channel).types("/video", prompt="a fox")
        shown = await reply.says("Generating frames", "A preview")
        assert shown.attachments[0].data == matinee.engine.preview
        matinee.engine.unblocked.set()
        clip = await wait_for_clip_message(server, 1)
        assert clip is shown
        assert [attachment.filename for attachment in clip.attachments] == ["matinee-1.mp4"]


async def test_no_preview_is_shown_by_default(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.preview = b"\xff\xd8 a first look"
    matinee.engine.unblocked.clear()
    working = await (await ana.types("/video", prompt="a fox")).says("Generating frames")
    assert working.attachments == []
    matinee.engine.unblocked.set()
    await wait_for_clip_message(server, 1)


async def test_a_clip_asked_for_in_a_forum_post_is_sent_there(
    server: DiscordServer, matinee: DiscordApp, channel: Channel
) -> None:
    assert channel.guild is not None
    forum = channel.guild.channel("ideas", FORUM)
    post = channel.guild.channel("a post", THREAD, parent=forum)
    boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
    await (await boss.types("/server channel", place=forum)).says(f"<#{forum.id}>")
    await person(server, "Ben", post).types("/video", prompt="in a post", age=15 * 60)
    assert (await wait_for_clip_message(server, 1)).channel is post
    assert await wait_until_final(server, matinee, 1) == "delivered"


async def test_missing_permissions_are_logged_at_start_and_shown_on_request(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    assert channel.guild is not None
    channel.guild.bot_permissions = channel.permissions = 1 << 10  # only to view channels
    boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
    with capture_logs() as logs:
        async with connected_app(server, tmp_path):
            shown = await (await boss.types("/server show")).says("These permissions are missing here")
            assert "attach files" in text_of(shown)
            assert "view channel" not in text_of(shown)
    warnings = [entry for entry in logs if entry["event"] == "permissions are missing"]
    assert [(entry["server"], "attach_files" in entry["missing"]) for entry in warnings] == [("Cinema", True)]


async def test_operators_are_the_team_members_who_accepted_and_may_change_the_application(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    people = {
        name: (person(server, name, channel, permissions=MANAGE_GUILD), state, role)
        for name, state, role in (
            ("Owner", 2, ""),
            ("Admin", 2, "admin"),
            ("Developer", 2, "developer"),
            ("Reader", 2, "read_only"),
            ("Invited", 1, "admin"),
            ("Future", 2, "billing"),
        )
    }
    members = [
        {"user": who.user.payload(), "team_id": "77", "membership_state": state, "role": role}
        for who, state, role in people.values()
    ]
    owner = people["Owner"][0].user.id
    server.world.team = {"id": "77", "name": "Crew", "icon": None, "owner_user_id": owner, "members": members}
    async with connected_app(server, tmp_path):
        obeyed = set()
        for name, (who, _, _) in people.items():
            answer = text_of(await (await who.types("/admin", line="stats")).message())
            if "Only an admin" not in answer:
                obeyed.add(name)
        assert obeyed == {"Owner", "Admin", "Developer"}
