"""Refusals, appeals, reports, held clips and a group's credits, as Telegram shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.frontends.telegram.frontend import Options
from bot.moderation.clip_inspection import Finding, Inspector
from bot.pipeline.delivery import Inspect
from bot.store.store import Store
from generation.media.nsfw import Sighting
from tests.bot.studio.test_admission import a_policy
from tests.fakes.telegram_app import cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Chat, Message


def sees(then: Finding) -> Callable[[Store], Inspect]:
    """An inspector to whom every clip shows the same."""

    async def look(_: Path) -> Sighting:
        return Sighting("FEMALE_BREAST_EXPOSED", 0.8)

    return lambda store: Inspector(store=store, look=look, then=then, certainty=0.5).inspect


def options(server: TelegramServer, boss: Someone) -> Options:
    return Options(token=server.token, api=server.url, admins=frozenset({boss.id}))


async def test_a_refusal_is_appealed_by_a_button_and_granted_by_another(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    boss = Someone(server, "Boss")
    async with cinema(tmp_path, options(server, boss), policy=a_policy()):
        await ada.writes("/video a nude child")
        refused = await ada.hears("protects people")
        await ada.writes("/video a fox")
        await ada.hears("cannot use Matinee until")
        answer = await ada.answer_to(await ada.presses(refused, "ask an admin"))
        assert "will look" in answer["text"]
        notice = await boss.hears("Appeal")
        assert f"telegram:{ada.id}" in notice.text
        assert "a nude child" in notice.text
        await ada.writes("/appeal")
        await ada.hears("have that already")
        assert len([m for m in boss.heard() if "Appeal" in m.text]) == 1
        await boss.answer_to(await boss.presses(notice, "grant it"))
        await ada.writes("/video a fox")
        await ada.receives("video")


async def test_an_appeal_can_be_typed(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    boss = Someone(server, "Boss")
    async with cinema(tmp_path, options(server, boss), policy=a_policy()):
        await ada.writes("/appeal")
        await ada.hears("Nothing of yours was refused")
        await ada.writes("/appeal my block was a mistake")
        await ada.hears("will look")
        await boss.hears("my block was a mistake")


async def test_anybody_reports_a_clip_by_answering_it_or_by_its_button(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    boss, eve = Someone(server, "Boss"), Someone(server, "Eve")
    group = server.world.group("Cinema")
    async with cinema(tmp_path, options(server, boss)):
        await ada.writes("/video a strange fox", chat=group)
        clip = await ada.receives("video", chat=group)
        await eve.writes("/report @everybody look at t.me/evil", chat=group, reply_to=clip)
        await eve.hears("Thank you", chat=group)
        notice = await boss.hears("#1")
        assert f"telegram:{eve.id}" in notice.text
        assert "a strange fox" in notice.text
        assert "@everybody" not in notice.text
        assert "t.me/evil" not in notice.text
        answer = await ada.answer_to(await ada.presses(clip, "report"))
        assert "Thank you" in answer["text"]


async def test_a_held_clip_is_seen_by_the_admins_and_then_by_its_chat(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    boss = Someone(server, "Boss")
    async with cinema(tmp_path, options(server, boss), inspect=sees(Finding.HOLD)):
        await ada.writes("/video a statue")
        await ada.hears("An admin looks at it")
        notice = await boss.receives("video")
        assert notice.spoiler
        assert "female breast exposed" in notice.text
        query = await ada.sends_back(notice, "release:1")
        assert "Only an admin" in (await ada.answer_to(query))["text"]
        await boss.answer_to(await boss.presses(notice, "send it"))
        clip = await ada.receives("video")
        assert "a statue" in clip.text
        await ada.writes("/video another statue")
        await ada.hears("Clip #2")

        def second() -> list[Message]:
            return [m for m in boss.heard() if m.kind == "video" and "#2" in m.text]

        (notice,) = await server.until(second)
        await boss.answer_to(await boss.presses(notice, "refuse it"))
        await ada.hears("credits are back")


async def test_by_setting_a_clip_comes_veiled(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    async with cinema(tmp_path, options(server, ada), inspect=sees(Finding.SPOILER)) as house:
        await ada.writes("/video a statue")
        assert (await ada.receives("video")).spoiler
        await house.telegram.until_delivered(1)
        assert await ada.looks_up("statue") == [], "another chat would see it bare"


async def test_a_group_shares_its_pool_once_ones_own_credits_are_spent(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    group: Chat = server.world.group("Cinema")
    pools = {f"telegram:{group.id}": 3}
    plain = Options(token=server.token, api=server.url)
    async with cinema(tmp_path, plain, credits_=0, pools=pools) as house:
        await ada.writes("/video a fox", chat=group)
        await ada.receives("video", chat=group)
        await house.telegram.until_delivered(1)
        await ada.writes("/video a fox")
        await ada.hears("credits left")
        entries = await house.store.entries(f"pool:telegram:{group.id}")
        assert sum(entry.credits for entry in entries) < 0


async def test_the_quota_tells_when_it_is_back_in_the_readers_zone(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    plain = Options(token=server.token, api=server.url)
    async with cinema(tmp_path, plain, credits_=7) as house:
        await ada.writes("/video a fox")
        await ada.receives("video")
        await house.telegram.until_delivered(1)
        await ada.writes("/quota")
        told = await ada.hears("credits left")
        assert "clip #1" in told.text
        (mark,) = [entity for entity in told.entities if entity["type"] == "date_time"]
        units = told.text.encode("utf-16-le")[2 * mark["offset"] : 2 * (mark["offset"] + mark["length"])]
        assert "UTC" in units.decode("utf-16-le")
        left = await house.studio.balance((await house.studio.job(1)).requester)
        assert mark["unix_time"] == left.back_at
