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


async def test_a_code_from_discord_links_in_telegram(platforms: TwoPlatforms) -> None:
    await spend_credits(platforms, 1)
    before = await platforms.credits_left()
    assert before[0] < before[1]
    code = CODE.search(
        text_of(await (await platforms.ana.types("/settings", link="new")).says("/settings link"))
    )
    assert code is not None
    await platforms.ada.writes(f"/settings link {code[1].lower()}")
    await platforms.ada.hears(f"discord:{platforms.ana.user.id}")
    assert await platforms.credits_left() == (before[0], before[0])
    await platforms.ada.writes("/history")
    await platforms.ada.hears("what was spent")


async def test_a_code_from_telegram_links_on_discord(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes("/settings link")
    code = CODE.search((await platforms.ada.hears("/settings link")).text)
    assert code is not None
    await (await platforms.ana.types("/settings", link=code[1])).says(f"telegram:{platforms.ada.id}")
    await spend_credits(platforms, 1)
    on_discord, on_telegram = await platforms.credits_left()
    assert on_discord == on_telegram < 1000


async def test_a_wrong_used_or_own_code_is_refused(platforms: TwoPlatforms) -> None:
    await platforms.ada.writes("/settings link NONSENSE")
    await platforms.ada.hears("wrong, used or expired")
    code = CODE.search(
        text_of(await (await platforms.ana.types("/settings", link="new")).says("/settings link"))
    )
    assert code is not None
    await (await platforms.ana.types("/settings", link=code[1])).says("wrong, used or expired")
    await platforms.ada.writes(f"/settings link {code[1]}")
    await platforms.ada.hears("share credits")
    eve = TelegramUser(platforms.ada.server, "Eve")
    await eve.writes(f"/settings link {code[1]}")
    await eve.hears("wrong, used or expired")
