"""Send every command to the bot through a loopback Telegram and write the answers to a Markdown file.

Run as `python -m tests.fakes.telegram_transcript docs`.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bot.frontends.telegram.frontend import Options
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Message

GENERATED_NOTE = "Written by `python -m tests.fakes.telegram_transcript docs`, not by hand."
WORD_JOINER = "\u2060"


@dataclass
class TranscriptWriter:
    ada: TelegramUser
    app: TelegramApp
    lines: list[str] = field(
        default_factory=lambda: ["# What Matinee answers in Telegram", "", GENERATED_NOTE, ""]
    )

    async def say(self, text: str, answer: str, *, reply_to: Message | None = None) -> Message:
        """Send `text` as Ada and record the bot's answer."""
        await self.ada.writes(text, reply_to=reply_to)
        return self.record(text or "(nothing)", await self.ada.hears(answer))

    async def press(self, message: Message, label: str, answer: str = "") -> Message:
        """Press a button and record the answer, which is a new message or a short notification."""
        toast = await self.ada.answer_to(await self.ada.presses(message, label))
        if answer:
            return self.record(f"[{label}]", await self.ada.hears(answer))
        self.lines += [f"**[{label}]**", "", f"> *{toast.get('text', '')}*", ""]
        return message

    def record(self, title: str, message: Message) -> Message:
        media = f"[{message.kind}]  \n> " if message.kind != "text" else ""
        text = message.text.replace(WORD_JOINER, "").replace("\n", "  \n> ")
        shown = "a short text" if not text and not media else f"{media}{text}"
        quote = "> " + re.sub(r"(?<!\\)([*_`<])", r"\\\1", shown)
        rows = (message.keyboard or {}).get("inline_keyboard", [])
        buttons = "  \n".join(" ".join(f"`{button['text']}`" for button in row) for row in rows)
        self.lines += [f"**{title}**", "", quote, "", *([buttons, ""] if buttons else [])]
        return message


async def record_conversation(writer: TranscriptWriter) -> None:
    ada, app = writer.ada, writer.app
    app.engine.unblocked.clear()
    await writer.say("/start", "Hello")
    status = await writer.say("/video a fox in the snow #lofi 2s 9:16 seed=7", "Clip #1")
    second = await writer.say("/video a harbour at dawn", "Clip #2")
    await writer.say("/queue", "The queue")
    await writer.press(second, "Cancel")
    app.engine.unblocked.set()
    await app.telegram.until_delivered(1)
    writer.record("After rendering, the first message has become", status)
    await writer.press(status, "Recipe", "Recipe of clip")
    await writer.press(status, "New music", "Which music")
    question = await writer.press(status, "Edit prompt", "the new prompt")
    await writer.say("a fox in the rain", "Clip #3", reply_to=question)
    await app.telegram.until_delivered(3)
    await writer.say("/video", "What should the clip show")
    suggestion = await writer.say("/video a fox #lofy", "Did you mean")
    await writer.press(suggestion, "Yes, that", "Clip #4")
    await app.telegram.until_delivered(4)
    menu = await writer.say("a lighthouse in a storm", "whatever you leave open")
    await ada.answer_to(await ada.presses(menu, "9:16"))
    writer.record("[9:16]", menu)
    for line, answer in (
        ("/animate it wakes up", "Which picture"),
        ("/video a forbidden thing", "cannot make"),
        ("/video a fox 99s", "seconds"),
        ("/vidoe a fox", "Did you mean"),
        ("/history", "Your clips"),
        ("/quota", "credits left"),
        ("/settings", "Choose your defaults"),
        ("/models", "Models"),
        ("/recipe 99", "no clip"),
        ("/help", "Matinee makes"),
        ("/privacy", "I store"),
        ("/privacy delete", "cannot be undone"),
        ("/buy", "How many credits"),
        ("/paysupport", "return a pack"),
        ("/admin stats", "Only an admin"),
    ):
        await writer.say(line, answer)
    await writer.press(status, "Report")
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "JPEG")
    await ada.writes("", photo=picture.getvalue())
    writer.record("(a photo)", await ada.hears("comes to life"))
    grete = TelegramUser(ada.server, "Grete", language="de")
    await grete.writes("/video ein Fuchs im Schnee #jazz 2,5s")
    writer.record("Grete, in German: /video ein Fuchs im Schnee #jazz 2,5s", await grete.hears("#"))
    await app.telegram.until_delivered(5)


async def main(folder: Path) -> None:
    async with TelegramServer() as server:
        with tempfile.TemporaryDirectory() as data:
            options = Options(token=server.token, api_url=server.url, stars_per_credit=2)
            async with running_app(Path(data), options, credits_=10) as app:
                writer = TranscriptWriter(TelegramUser(server, "Ada"), app)
                server.world.private_flood_limit = (1000, 1.0)
                await record_conversation(writer)
    (folder / "telegram-transcript.md").write_text("\n".join(writer.lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
