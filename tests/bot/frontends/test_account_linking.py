"""One person on both platforms: a code said on the other one joins credits and history."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.frontends.telegram.frontend import Options, Telegram
from tests.fakes.discord_app import HouseOfDiscord, clip_of, house, settled
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone

CODE = re.compile(r"/settings link ([A-Z2-9]{8})")


@dataclass
class Both:
    """One Matinee that serves both chats, and a person in each."""

    matinee: HouseOfDiscord
    discord: DiscordServer
    ana: Person
    ada: Someone

    async def left(self) -> tuple[int, int]:
        """What Discord and Telegram say."""
        there = text_of(await (await self.ana.types("/quota")).says("credits left"))
        known = len(self.ada.heard())
        await self.ada.writes("/quota")
        await self.ada.server.until(lambda: len(self.ada.heard()) > known)
        here = self.ada.heard()[known].text
        first, second = (re.search(r"(\d+) of \d+ credits left", text) for text in (there, here))
        assert first is not None
        assert second is not None
        return int(first[1]), int(second[1])


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with discord_server() as there, TelegramServer() as here:
        channel = there.world.guild().channel("general")
        async with house(tmp_path / "data", there.connector(), there.token) as matinee:
            telegram = Telegram(matinee.studio, Options(token=here.token, api=here.url))
            serving = asyncio.create_task(telegram.run())
            await there.world.until(lambda: there.world.commands and there.gateway.live)
            await telegram.ready.wait()
            yield Both(matinee, there, person(there, "Ana", channel), Someone(here, "Ada"))
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def spend(both: Both, job: int) -> None:
    await both.ana.types("/video", prompt="what was spent", seconds=4.0)
    await clip_of(both.discord, job)
    await settled(both.discord, both.matinee, job)


async def test_a_code_from_discord_is_said_in_telegram(both: Both) -> None:
    await spend(both, 1)
    before = await both.left()
    assert before[0] < before[1]
    code = CODE.search(text_of(await (await both.ana.types("/settings", link="new")).says("/settings link")))
    assert code is not None
    await both.ada.writes(f"/settings link {code[1].lower()}")
    await both.ada.hears(f"discord:{both.ana.user.id}")
    assert await both.left() == (before[0], before[0])
    await both.ada.writes("/history")
    await both.ada.hears("what was spent")


async def test_a_code_from_telegram_is_said_on_discord(both: Both) -> None:
    await both.ada.writes("/settings link")
    code = CODE.search((await both.ada.hears("/settings link")).text)
    assert code is not None
    await (await both.ana.types("/settings", link=code[1])).says(f"telegram:{both.ada.id}")
    await spend(both, 1)
    there, here = await both.left()
    assert there == here < 1000


async def test_a_code_that_is_wrong_used_or_ones_own_joins_nothing(both: Both) -> None:
    await both.ada.writes("/settings link NONSENSE")
    await both.ada.hears("wrong, used or too old")
    code = CODE.search(text_of(await (await both.ana.types("/settings", link="new")).says("/settings link")))
    assert code is not None
    await (await both.ana.types("/settings", link=code[1])).says("wrong, used or too old")
    await both.ada.writes(f"/settings link {code[1]}")
    await both.ada.hears("share credits")
    eve = Someone(both.ada.server, "Eve")
    await eve.writes(f"/settings link {code[1]}")
    await eve.hears("wrong, used or too old")
