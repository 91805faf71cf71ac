"""Telegram holds the conversation that every chat holds."""

from __future__ import annotations

from pathlib import Path

from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from tests.bot.frontends.shared_conversation import begun, converse
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone


class Guest:
    def __init__(self, someone: Someone, house: Cinema) -> None:
        self._someone = someone
        self._house = house
        self._now()

    async def asks_for_a_clip(self, prompt: str, **options: str) -> None:
        self._now()
        await self._someone.writes(" ".join(["/video", prompt, *(f"{k}={v}" for k, v in options.items())]))

    async def says(self, command: str) -> None:
        self._now()
        await self._someone.writes(f"/{command}")

    async def hears(self, words: str) -> str:
        """What is new, or says something new, since the last thing that was done."""

        def found() -> str | None:
            if words in self._toast:
                return self._toast
            said = (m.text for m in reversed(self._someone.heard()) if self._before.get(m.id) != m.text)
            return next((text for text in said if words in text), None)

        heard = await self._someone.server.until(found)
        assert heard is not None
        return heard.replace("\u2060", "")

    def _now(self) -> None:
        self._toast = ""
        self._before = {message.id: message.text for message in self._someone.heard()}

    async def sees_clip(self, number: int) -> str:
        await self._house.telegram.until_delivered(number)
        return (await self._someone.hears(f"Clip #{number}:")).text  # also where it stood before

    async def presses(self, label: str) -> None:
        def holder() -> bool:
            return any(label.lower() in b["text"].lower() for m in self._someone.heard() for b in m.buttons)

        await self._someone.server.until(holder)
        message = next(
            m
            for m in reversed(self._someone.heard())
            if any(label.lower() in button["text"].lower() for button in m.buttons)
        )
        self._now()
        answer = await self._someone.answer_to(await self._someone.presses(message, label))
        self._toast = str(answer.get("text", ""))

    async def rescores(self, genre: str) -> None:
        await self.presses(messages.words("button.score"))
        await self.presses(genre)

    def hold(self, *, engine: bool) -> None:
        if engine:
            self._house.engine.gate.clear()
        else:
            self._house.engine.gate.set()

    async def waits_for_the_engine(self, number: int) -> None:
        await begun(self._house.studio, number)


async def test_conversation_reads_as_on_every_chat(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    async with cinema(tmp_path, Options(token=server.token, api=server.url)) as house:
        await converse(Guest(ada, house))
