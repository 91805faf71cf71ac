"""Refusals, appeals, reports and held clips, as Discord shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.events import AdminNoticeRaised
from bot.moderation.admin_notices import AdminNotices
from bot.moderation.clip_inspection import ClipInspector, InspectionVerdict
from generation.media.nsfw import Detection
from tests.bot.studio.test_access import bundled_policy
from tests.fakes.discord_app import DiscordApp, discord_app, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.discord_validation import walk
from tests.fakes.discord_world import Channel, Message

MANAGE_GUILD = 1 << 5


@pytest.fixture
async def matinee(server: DiscordServer, channel: Channel, tmp_path: Path) -> AsyncIterator[DiscordApp]:
    """Run with the shipped rules."""
    assert channel.guild is not None
    async with discord_app(
        tmp_path / "data", server.connector(), server.token, policy=bundled_policy()
    ) as running:
        await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
        yield running


@pytest.fixture
async def admin_channel(server: DiscordServer, matinee: DiscordApp, channel: Channel) -> Channel:
    """A channel that receives the admin notices."""
    assert channel.guild is not None
    office = channel.guild.channel("office")
    await server.gateway.dispatch("CHANNEL_CREATE", office.payload(), channel.guild)
    notices = AdminNotices({"discord": matinee.frontend}, [f"discord:{office.id}"])
    matinee.events.subscribe(AdminNoticeRaised, lambda event: notices.post(event.notice))
    return office


@pytest.fixture
def boss(server: DiscordServer, matinee: DiscordApp, admin_channel: Channel) -> Person:
    operator = person(server, "Boss", admin_channel, permissions=MANAGE_GUILD)
    matinee.frontend.client.handlers.operators = frozenset({int(operator.user.id)})
    return operator


async def wait_for_post(server: DiscordServer, channel: Channel, *texts: str) -> Message:
    def found() -> Message | None:
        return next(
            (m for m in server.world.visible(channel) if all(text in text_of(m) for text in texts)), None
        )

    message: Message = await server.world.wait_until(found)
    return message


async def test_an_appeal_is_filed_and_accepted_by_buttons(
    server: DiscordServer, ana: Person, boss: Person, admin_channel: Channel
) -> None:
    refused = await (await ana.types("/video", prompt="a nude child")).says("protects people")
    assert refused.ephemeral
    await (await ana.types("/video", prompt="a fox")).says("until")
    await (await ana.clicks(refused, "Ask an admin")).says("will look")
    notice = await wait_for_post(server, admin_channel, "Appeal", ana.user.id, "a nude child")
    await (await ana.clicks(refused, "Ask an admin")).says("already")
    other = Person(server, ana.user, admin_channel)
    await (await other.clicks(notice, "Accept it")).says("Only an admin")
    await (await boss.clicks(notice, "Accept it")).says("may continue")
    await ana.types("/video", prompt="a fox")
    await wait_for_clip_message(server, 1)


async def test_an_appeal_can_be_typed_and_needs_a_refusal_or_a_reason(
    server: DiscordServer, ana: Person, boss: Person, admin_channel: Channel
) -> None:
    assert boss.user.name == "Boss"
    await (await ana.types("/appeal")).says("no recent refusal")
    await (await ana.types("/appeal", why="I was blocked for no reason")).says("will look")
    await wait_for_post(server, admin_channel, "I was blocked for no reason")


async def test_a_clip_is_reported_by_its_button_or_its_number(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person, admin_channel: Channel
) -> None:
    assert boss.user.name == "Boss"
    await ana.types("/video", prompt="a strange fox")
    clip = await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    eve = person(server, "Eve", ana.channel)
    await (await eve.clicks(clip, "Report")).says("Thank you")
    await wait_for_post(server, admin_channel, "#1", "a strange fox", eve.user.id)
    await (await eve.types("/report", clip="1", why="again")).says("already")
    await (await ana.types("/report", clip="#1", why="@everyone [look](https://x.y)")).says("Thank you")
    posted = text_of(await wait_for_post(server, admin_channel, ana.user.id, "look"))
    assert "@everyone" not in posted
    assert "[look](" not in posted.replace("\\", "") or "\\[" in posted


async def test_admins_review_a_held_clip_before_its_chat_gets_it(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person, admin_channel: Channel
) -> None:
    async def classify(_: Path) -> Detection:
        return Detection("FEMALE_BREAST_EXPOSED", 0.8)

    inspector = ClipInspector(
        store=matinee.store, classify=classify, verdict_if_seen=InspectionVerdict.HOLD, min_certainty=0.5
    )
    matinee.delivery._inspect = inspector.inspect
    waiting = await (await ana.types("/video", prompt="a statue")).says("admin reviews")
    notice = await wait_for_post(server, admin_channel, "waits for you", "#1")
    (media,) = [item for part in walk(notice.components) for item in part.get("items", ())]
    assert media["spoiler"] is True
    assert len(notice.attachments) == 1
    await (await boss.clicks(notice, "Refuse it")).says("#1")
    await server.world.wait_until(lambda: "credits are back" in text_of(waiting))

    await (await ana.types("/video", prompt="a statue")).says("admin reviews")
    notice = await wait_for_post(server, admin_channel, "waits for you", "#2")
    await (await boss.clicks(notice, "Send it")).says("#2")
    assert "a statue" in text_of(await wait_for_clip_message(server, 2))


async def test_a_setting_sends_flagged_clips_as_spoilers(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    async def classify(_: Path) -> Detection:
        return Detection("BUTTOCKS_EXPOSED", 0.9)

    matinee.delivery._inspect = ClipInspector(
        store=matinee.store, classify=classify, verdict_if_seen=InspectionVerdict.SPOILER, min_certainty=0.5
    ).inspect
    await ana.types("/video", prompt="a statue")
    clip = await wait_for_clip_message(server, 1)
    (media,) = [item for part in walk(clip.components) for item in part.get("items", ())]
    assert media["spoiler"] is True


async def test_an_announcement_is_shown_with_every_clip(
    server: DiscordServer, ana: Person, boss: Person
) -> None:
    line = "announce We *move* servers <@123456789012345678> tonight"
    await (await boss.types("/admin", line=line)).says("for a day")
    await ana.types("/video", prompt="a fox")
    shown = text_of(await wait_for_clip_message(server, 1))
    assert r"\*move\*" in shown
    assert "\\<@\u200b123456789012345678>" in shown


async def test_quota_shows_the_reset_time_in_the_readers_time_zone(matinee: DiscordApp, ana: Person) -> None:
    assert matinee.frontend.name == "discord"
    shown = text_of(await (await ana.types("/quota")).says("credits left"))
    assert "<t:" in shown
    assert ":R>" in shown
