"""Refusals, appeals, reports, held clips and group credits in Telegram."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.frontends.telegram.frontend import Options
from bot.moderation.clip_inspection import ClipInspector, InspectionVerdict
from bot.pipeline.delivery import InspectClip
from bot.store.store import Store
from bot.studio.access import Viewer
from generation.media.nsfw import Detection
from tests.bot.studio.test_access import bundled_policy
from tests.fakes.telegram_app import running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Chat, Message


def always_finds(finding: InspectionVerdict) -> Callable[[Store], InspectClip]:
    """An inspector that gives every clip the same verdict."""

    async def classify(_: Path) -> Detection:
        return Detection("FEMALE_BREAST_EXPOSED", 0.8)

    return lambda store: (
        ClipInspector(store=store, classify=classify, verdict_if_seen=finding, min_certainty=0.5).inspect
    )


def options_with_admin(server: TelegramServer, boss: TelegramUser) -> Options:
    return Options(token=server.token, api_url=server.url, admins=frozenset({boss.id}))


async def test_refusal_is_appealed_and_granted_by_buttons(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    boss = TelegramUser(server, "Boss")
    async with running_app(tmp_path, options_with_admin(server, boss), policy=bundled_policy()):
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
        await ada.hears("already have this report")
        assert len([m for m in boss.bot_messages() if "Appeal" in m.text]) == 1
        await boss.answer_to(await boss.presses(notice, "accept it"))
        await ada.writes("/video a fox")
        await ada.receives("video")


async def test_appeal_can_be_typed(server: TelegramServer, ada: TelegramUser, tmp_path: Path) -> None:
    boss = TelegramUser(server, "Boss")
    async with running_app(tmp_path, options_with_admin(server, boss), policy=bundled_policy()):
        await ada.writes("/appeal")
        await ada.hears("no recent refusal")
        await ada.writes("/appeal my block was a mistake")
        await ada.hears("will look")
        await boss.hears("my block was a mistake")


async def test_clip_is_reported_by_reply_or_by_button(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    boss, eve = TelegramUser(server, "Boss"), TelegramUser(server, "Eve")
    group = server.world.add_group("Cinema")
    async with running_app(tmp_path, options_with_admin(server, boss)):
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


async def test_held_clip_is_reviewed_by_admins_before_its_chat(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    boss = TelegramUser(server, "Boss")
    async with running_app(
        tmp_path, options_with_admin(server, boss), inspect=always_finds(InspectionVerdict.HOLD)
    ):
        await ada.writes("/video a statue")
        await ada.hears("An admin reviews")
        notice = await boss.receives("video")
        assert notice.spoiler
        assert "female breast exposed" in notice.text
        query = await ada.sends_callback(notice, "release:1")
        assert "Only an admin" in (await ada.answer_to(query))["text"]
        await boss.answer_to(await boss.presses(notice, "send it"))
        clip = await ada.receives("video")
        assert "a statue" in clip.text
        await ada.writes("/video another statue")
        await ada.hears("Clip #2")

        def second() -> list[Message]:
            return [m for m in boss.bot_messages() if m.kind == "video" and "#2" in m.text]

        (notice,) = await server.wait_until(second)
        await boss.answer_to(await boss.presses(notice, "refuse it"))
        await ada.hears("credits are back")


async def test_flagged_clip_is_spoilered_when_configured(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    async with running_app(
        tmp_path, options_with_admin(server, ada), inspect=always_finds(InspectionVerdict.SPOILER)
    ) as app:
        await ada.writes("/video a statue")
        assert (await ada.receives("video")).spoiler
        await app.telegram.until_delivered(1)
        assert await ada.searches_inline("statue") == [], "inline results cannot be covered by a spoiler"


async def test_group_pool_pays_once_own_credits_are_spent(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    group: Chat = server.world.add_group("Cinema")
    pools = {f"telegram:{group.id}": 3}
    plain = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, plain, credits_=0, pools=pools) as app:
        await ada.writes("/video a fox", chat=group)
        await ada.receives("video", chat=group)
        await app.telegram.until_delivered(1)
        await ada.writes("/video a fox")
        await ada.hears("credits left")
        entries = await app.store.ledger_entries(f"pool:telegram:{group.id}")
        assert sum(entry.credits for entry in entries) < 0


async def test_quota_shows_its_refill_time_as_a_date_entity(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    plain = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, plain, credits_=7) as app:
        await ada.writes("/video a fox")
        await ada.receives("video")
        await app.telegram.until_delivered(1)
        await ada.writes("/quota")
        quota = await ada.hears("credits left")
        assert "clip #1" in quota.text
        (date,) = [entity for entity in quota.entities if entity["type"] == "date_time"]
        units = quota.text.encode("utf-16-le")[2 * date["offset"] : 2 * (date["offset"] + date["length"])]
        assert "UTC" in units.decode("utf-16-le")
        balance = await app.studio.balance(Viewer.owner_of(await app.store.job(1)))
        assert date["unix_time"] == balance.back_at
