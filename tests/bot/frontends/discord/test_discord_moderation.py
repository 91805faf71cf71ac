"""Refusals, appeals, reports and held clips, as Discord shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.moderation.admin_notices import Notices
from bot.moderation.clip_inspection import Finding, Inspector
from generation.media.nsfw import Sighting
from tests.bot.studio.test_admission import a_policy
from tests.fakes.discord_app import HouseOfDiscord, clip_of, house, settled
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.discord_validation import walk
from tests.fakes.discord_world import Channel, Message

MANAGE_GUILD = 1 << 5


@pytest.fixture
async def matinee(server: DiscordServer, channel: Channel, tmp_path: Path) -> AsyncIterator[HouseOfDiscord]:
    """With the rules that are shipped."""
    assert channel.guild is not None
    async with house(tmp_path / "data", server.connector(), server.token, policy=a_policy()) as running:
        await server.world.until(lambda: server.world.commands and server.gateway.live)
        yield running


@pytest.fixture
async def office(server: DiscordServer, matinee: HouseOfDiscord, channel: Channel) -> Channel:
    """The admins' own channel."""
    assert channel.guild is not None
    room = channel.guild.channel("office")
    await server.gateway.dispatch("CHANNEL_CREATE", room.payload(), channel.guild)
    notices = Notices({"discord": matinee.frontend}, [f"discord:{room.id}"])
    matinee.studio.read_notices(notices.post)
    return room


@pytest.fixture
def boss(server: DiscordServer, matinee: HouseOfDiscord, office: Channel) -> Person:
    operator = person(server, "Boss", office, permissions=MANAGE_GUILD)
    matinee.frontend.client.desk.operators = frozenset({int(operator.user.id)})
    return operator


async def posted(server: DiscordServer, room: Channel, *words: str) -> Message:
    def found() -> Message | None:
        return next(
            (m for m in server.world.visible(room) if all(word in text_of(m) for word in words)), None
        )

    message: Message = await server.world.until(found)
    return message


async def test_a_refusal_is_appealed_by_a_button_and_granted_by_another(
    server: DiscordServer, ana: Person, boss: Person, office: Channel
) -> None:
    refused = await (await ana.types("/video", prompt="a nude child")).says("protects people")
    assert refused.ephemeral
    await (await ana.types("/video", prompt="a fox")).says("until")
    await (await ana.clicks(refused, "Ask an admin")).says("will look")
    notice = await posted(server, office, "Appeal", ana.user.id, "a nude child")
    await (await ana.clicks(refused, "Ask an admin")).says("already")
    other = Person(server, ana.user, office)
    await (await other.clicks(notice, "Grant it")).says("Only an admin")
    await (await boss.clicks(notice, "Grant it")).says("may go on")
    await ana.types("/video", prompt="a fox")
    await clip_of(server, 1)


async def test_an_appeal_can_be_typed_and_needs_a_refusal_or_words(
    server: DiscordServer, ana: Person, boss: Person, office: Channel
) -> None:
    assert boss.user.name == "Boss"
    await (await ana.types("/appeal")).says("Nothing of yours was refused")
    await (await ana.types("/appeal", why="I was blocked for no reason")).says("will look")
    await posted(server, office, "I was blocked for no reason")


async def test_a_clip_is_reported_by_its_button_or_its_number(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, boss: Person, office: Channel
) -> None:
    assert boss.user.name == "Boss"
    await ana.types("/video", prompt="a strange fox")
    clip = await clip_of(server, 1)
    await settled(server, matinee, 1)
    eve = person(server, "Eve", ana.channel)
    await (await eve.clicks(clip, "Report")).says("Thank you")
    await posted(server, office, "#1", "a strange fox", eve.user.id)
    await (await eve.types("/report", clip="1", why="again")).says("already")
    await (await ana.types("/report", clip="#1", why="@everyone [look](https://x.y)")).says("Thank you")
    told = await posted(server, office, ana.user.id, "look")
    assert "@everyone" not in text_of(told)
    assert "[look](" not in text_of(told).replace("\\", "") or "\\[" in text_of(told)


async def test_a_held_clip_is_seen_by_the_admins_and_then_by_its_chat(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, boss: Person, office: Channel
) -> None:
    async def look(_: Path) -> Sighting:
        return Sighting("FEMALE_BREAST_EXPOSED", 0.8)

    inspector = Inspector(store=matinee.store, look=look, then=Finding.HOLD, certainty=0.5)
    matinee.delivery._inspect = inspector.inspect
    waiting = await (await ana.types("/video", prompt="a statue")).says("admin looks at it")
    notice = await posted(server, office, "waits for you", "#1")
    (media,) = [item for part in walk(notice.components) for item in part.get("items", ())]
    assert media["spoiler"] is True
    assert len(notice.attachments) == 1
    await (await boss.clicks(notice, "Refuse it")).says("#1")
    await server.world.until(lambda: "credits are back" in text_of(waiting))

    await (await ana.types("/video", prompt="a statue")).says("admin looks at it")
    notice = await posted(server, office, "waits for you", "#2")
    await (await boss.clicks(notice, "Send it")).says("#2")
    assert "a statue" in text_of(await clip_of(server, 2))


async def test_by_setting_a_clip_comes_veiled(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person
) -> None:
    async def look(_: Path) -> Sighting:
        return Sighting("BUTTOCKS_EXPOSED", 0.9)

    matinee.delivery._inspect = Inspector(
        store=matinee.store, look=look, then=Finding.SPOILER, certainty=0.5
    ).inspect
    await ana.types("/video", prompt="a statue")
    clip = await clip_of(server, 1)
    (media,) = [item for part in walk(clip.components) for item in part.get("items", ())]
    assert media["spoiler"] is True


async def test_what_is_announced_is_said_with_every_clip(
    server: DiscordServer, ana: Person, boss: Person
) -> None:
    line = "announce We *move* house <@123456789012345678> tonight"
    await (await boss.types("/admin", line=line)).says("for a day")
    await ana.types("/video", prompt="a fox")
    said = text_of(await clip_of(server, 1))
    assert r"\*move\*" in said
    assert "\\<@\u200b123456789012345678>" in said


async def test_the_quota_tells_when_it_is_back_in_the_readers_zone(
    matinee: HouseOfDiscord, ana: Person
) -> None:
    assert matinee.frontend.name == "discord"
    told = text_of(await (await ana.types("/quota")).says("credits left"))
    assert "<t:" in told
    assert ":R>" in told
