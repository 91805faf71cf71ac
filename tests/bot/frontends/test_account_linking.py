"""Linking a user's accounts: a code from one platform joins credits and history with the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.frontends.telegram.frontend import Options, Telegram
from tests.fakes.discord_app import DiscordApp, discord_app, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.discord_world import Message
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

CODE = re.compile(r"/settings link ([A-Z2-9]{8})")


@dataclass
class TwoPlatforms:
    """One Matinee that serves both chats, and a user in each."""

    matinee: DiscordApp
    discord: DiscordServer
    ana: Person
    ada: TelegramUser

    async def credits_left(self) -> tuple[int, int]:
        """Return the credits that Discord and Telegram show."""
        discord_text = text_of(await (await self.ana.types("/quota")).says("credits left"))
        known = len(self.ada.bot_messages())
        await self.ada.writes("/quota")
        await self.ada.server.wait_until(lambda: len(self.ada.bot_messages()) > known)
        telegram_text = self.ada.bot_messages()[known].text
        first, second = (
            re.search(r"(\d+) of \d+ credits left", text) for text in (discord_text, telegram_text)
        )
        assert first is not None
        assert second is not None
        return int(first[1]), int(second[1])


@pytest.fixture
async def platforms(tmp_path: Path) -> AsyncIterator[TwoPlatforms]:
    async with discord_server() as discord, TelegramServer() as telegram_server:
        channel = discord.world.guild().channel("general")
        async with discord_app(tmp_path / "data", discord.connector(), discord.token) as matinee:
            telegram = Telegram(
                matinee.studio, Options(token=telegram_server.token, api_url=telegram_server.url)
            )
            matinee.frontends["telegram"] = telegram
            serving = asyncio.create_task(telegram.run())
            await discord.world.wait_until(
                lambda: discord.world.commands and discord.gateway.connected_sessions
            )
            await telegram.ready.wait()
            yield TwoPlatforms(
                matinee, discord, person(discord, "Ana", channel), TelegramUser(telegram_server, "Ada")
            )
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def spend_credits(platforms: TwoPlatforms, job: int) -> None:
    await platforms.ana.types("/video", prompt="what was spent", seconds=4.0)
    await wait_for_clip_message(platforms.discord, job)
    await wait_until_final(platforms.discord, platforms.matinee, job)


async def new_discord_code(platforms: TwoPlatforms) -> str:
    answer = await (await platforms.ana.types("/settings", link="new")).says("/settings link")
    found = CODE.search(text_of(answer))
    assert found is not None
    return found[1]


async def direct_message(platforms: TwoPlatforms, text: str) -> Message:
    """Wait for a direct message to Ana that contains the text."""
    channel = platforms.discord.world.dm(platforms.ana.user)

    def found() -> Message | None:
        messages = platforms.discord.world.messages.values()
        return next((m for m in messages if m.channel is channel and text in text_of(m)), None)

    message: Message = await platforms.discord.world.wait_until(found)
    return message


async def test_a_code_from_discord_links_once_both_sides_confirm(platforms: TwoPlatforms) -> None:
    await spend_credits(platforms, 1)
    before = await platforms.credits_left()
    assert before[0] < before[1]
    code = await new_discord_code(platforms)
    await platforms.ada.writes(f"/settings link {code.lower()}")
    question = await platforms.ada.hears(f"Link with Ana (discord:{platforms.ana.user.id})?")
    asked = await direct_message(platforms, "Link with Ada")
    await platforms.ada.answer_to(await platforms.ada.presses(question, "Link them"))
    await platforms.ada.hears("the other side has to confirm")
    assert await platforms.credits_left() == before, "one side alone links nothing"
    await (await platforms.ana.clicks(asked, "Link them")).says("share credits and history with Ada")
    await platforms.ada.hears("share credits and history with Ana")
    assert await platforms.credits_left() == (before[0], before[0])
    await platforms.ada.writes("/history")
    await platforms.ada.hears("what was spent")


async def test_a_code_from_telegram_links_on_discord(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes("/settings link")
    code = CODE.search((await platforms.ada.hears("/settings link")).text)
    assert code is not None
    asked = await (await platforms.ana.types("/settings", link=code[1])).says(f"telegram:{platforms.ada.id}")
    await (await platforms.ana.clicks(asked, "Link them")).says("the other side has to confirm")
    question = await platforms.ada.hears("Link with Ana")
    await platforms.ada.answer_to(await platforms.ada.presses(question, "Link them"))
    await direct_message(platforms, "share credits and history with Ada")
    await spend_credits(platforms, 1)
    on_discord, on_telegram = await platforms.credits_left()
    assert on_discord == on_telegram < 1000
    await platforms.ada.writes("/settings unlink")
    await platforms.ada.hears("no longer share")
    await direct_message(platforms, "no longer share")
    assert await platforms.credits_left() == (1000, on_telegram), "each has their own allowance again"
    await (await platforms.ana.types("/settings", link="unlink")).says("not linked with anybody")


async def test_a_wrong_used_or_own_code_is_refused(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes("/settings link NONSENSE")
    await platforms.ada.hears("wrong, used or expired")
    code = await new_discord_code(platforms)
    await (await platforms.ana.types("/settings", link=code)).says("wrong, used or expired")
    await platforms.ada.writes(f"/settings link {code}")
    await platforms.ada.hears("Link with Ana")
    eve = TelegramUser(platforms.ada.server, "Eve")
    await eve.writes(f"/settings link {code}")
    await eve.hears("wrong, used or expired")


async def test_one_side_can_refuse_and_both_are_told(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes(f"/settings link {await new_discord_code(platforms)}")
    question = await platforms.ada.hears("Link with Ana")
    asked = await direct_message(platforms, "Link with Ada")
    await (await platforms.ana.clicks(asked, "No, do not link")).says("one side said no")
    await platforms.ada.hears("one side said no")
    answer = await platforms.ada.answer_to(await platforms.ada.presses(question, "Link them"))
    assert "wrong, used or expired" in answer["text"]
    assert await platforms.matinee.store.linked_keys(f"telegram:{platforms.ada.id}") == [
        f"telegram:{platforms.ada.id}"
    ]


async def test_codes_are_given_and_taken_only_in_private(platforms: TwoPlatforms) -> None:
    group = platforms.ada.server.world.add_group("Film club")
    await platforms.ada.writes("/settings link", chat=group)
    await platforms.ada.hears("only in private", chat=group)
    assert not any(CODE.search(message.text) for message in platforms.ada.bot_messages(group))
    code = await new_discord_code(platforms)
    await platforms.ada.writes(f"/settings link {code}", chat=group)
    await platforms.ada.server.wait_until(lambda: len(platforms.ada.bot_messages(group)) == 2)
    eve = TelegramUser(platforms.ada.server, "Eve")
    await eve.writes(f"/settings link {code}")
    await eve.hears("wrong, used or expired")  # others have seen it


async def test_a_stranger_cannot_answer_the_question(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes(f"/settings link {await new_discord_code(platforms)}")
    question = await platforms.ada.hears("Link with Ana")
    await direct_message(platforms, "Link with Ada")
    eve = TelegramUser(platforms.ada.server, "Eve")
    data = question.button("Link them")["callback_data"]
    assert "wrong" in (await eve.answer_to(await eve.sends_callback(question, data)))["text"]
