"""The conversation that every frontend must support, held over Telegram."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from tests.bot.frontends.shared_conversation import run_conversation, wait_until_running
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

pytestmark = pytest.mark.slow


class TelegramChatUser:
    def __init__(self, someone: TelegramUser, app: TelegramApp) -> None:
        self._someone = someone
        self._app = app
        self._mark_as_seen()

    async def request_clip(self, prompt: str, **options: str) -> None:
        self._mark_as_seen()
        await self._someone.writes(" ".join(["/video", prompt, *(f"{k}={v}" for k, v in options.items())]))

    async def send_command(self, command: str) -> None:
        self._mark_as_seen()
        await self._someone.writes(f"/{command}")

    async def wait_for_text(self, words: str) -> str:
        """Wait for `words` in a message that is new or was edited since the last action."""

        def matching_text() -> str | None:
            if words in self._toast:
                return self._toast
            new_texts = (
                m.text for m in reversed(self._someone.bot_messages()) if self._before.get(m.id) != m.text
            )
            return next((text for text in new_texts if words in text), None)

        text = await self._someone.server.wait_until(matching_text)
        assert text is not None
        return text.replace("\u2060", "")

    def _mark_as_seen(self) -> None:
        self._toast = ""
        self._before = {message.id: message.text for message in self._someone.bot_messages()}

    async def wait_for_clip(self, number: int) -> str:
        await self._app.telegram.until_delivered(number)
        return (await self._someone.hears(f"Clip #{number}:")).text  # an older message may match too

    async def press_button(self, label: str) -> None:
        def has_button() -> bool:
            return any(
                label.lower() in b["text"].lower() for m in self._someone.bot_messages() for b in m.buttons
            )

        await self._someone.server.wait_until(has_button)
        message = next(
            m
            for m in reversed(self._someone.bot_messages())
            if any(label.lower() in button["text"].lower() for button in m.buttons)
        )
        self._mark_as_seen()
        answer = await self._someone.answer_to(await self._someone.presses(message, label))
        self._toast = str(answer.get("text", ""))

    async def request_new_music(self, genre: str) -> None:
        await self.press_button(messages.translate("button.score"))
        await self.press_button(genre)

    def set_engine_paused(self, *, paused: bool) -> None:
        if paused:
            self._app.engine.unblocked.clear()
        else:
            self._app.engine.unblocked.set()

    async def wait_until_rendering(self, number: int) -> None:
        await wait_until_running(self._app.store, number)


async def test_shared_conversation_holds_on_telegram(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url)) as app:
        await run_conversation(TelegramChatUser(ada, app))
