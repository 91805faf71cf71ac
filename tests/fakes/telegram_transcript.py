"""Types every command into a loopback Telegram and writes down what came back.

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
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Message

WRITTEN = "Written by `python -m tests.fakes.telegram_transcript docs`, not by hand."
JOINER = "\u2060"


@dataclass
class Scribe:
    ada: Someone
    house: Cinema
    lines: list[str] = field(default_factory=lambda: ["# What Matinee answers in Telegram", "", WRITTEN, ""])

    async def say(self, text: str, answer: str, *, reply_to: Message | None = None) -> Message:
        """Ada writes; what she hears is written down."""
        await self.ada.writes(text, reply_to=reply_to)
        return self.note(text or "(nothing)", await self.ada.hears(answer))

    async def press(self, message: Message, label: str, answer: str = "") -> Message:
        """A button; either a toast or another message answers it."""
        toast = await self.ada.answer_to(await self.ada.presses(message, label))
        if answer:
            return self.note(f"[{label}]", await self.ada.hears(answer))
        self.lines += [f"**[{label}]**", "", f"> *{toast.get('text', '')}*", ""]
        return message

    def note(self, title: str, heard: Message) -> Message:
        media = f"[{heard.kind}]  \n> " if heard.kind != "text" else ""
        said = heard.text.replace(JOINER, "").replace("\n", "  \n> ")
        shown = "a short text" if not said and not media else f"{media}{said}"
        quote = "> " + re.sub(r"(?<!\\)([*_`<])", r"\\\1", shown)
        rows = (heard.keyboard or {}).get("inline_keyboard", [])
        drawn = "  \n".join(" ".join(f"`{button['text']}`" for button in row) for row in rows)
        self.lines += [f"**{title}**", "", quote, "", *([drawn, ""] if drawn else [])]
        return heard


async def talk(scribe: Scribe) -> None:
    ada, house = scribe.ada, scribe.house
    house.engine.gate.clear()
    await scribe.say("/start", "Hello")
    status = await scribe.say("/video a fox in the snow #lofi 2s 9:16 seed=7", "Clip #1")
    second = await scribe.say("/video a harbour at dawn", "Clip #2")
    await scribe.say("/queue", "The queue")
    await scribe.press(second, "Cancel")
    house.engine.gate.set()
    await house.telegram.until_delivered(1)
    scribe.note("... and then the first message has become", status)
    await scribe.press(status, "Recipe", "Recipe of clip")
    await scribe.press(status, "New music", "Which music")
    question = await scribe.press(status, "Edit prompt", "In other words")
    await scribe.say("a fox in the rain", "Clip #3", reply_to=question)
    await house.telegram.until_delivered(3)
    await scribe.say("/video", "What shall I film")
    slip = await scribe.say("/video a fox #lofy", "Did you mean")
    await scribe.press(slip, "Yes, that", "Clip #4")
    await house.telegram.until_delivered(4)
    wall = await scribe.say("a lighthouse in a storm", "What you leave open")
    await ada.answer_to(await ada.presses(wall, "9:16"))
    scribe.note("[9:16]", wall)
    for line, answer in (
        ("/animate it wakes up", "Which picture"),
        ("/video a forbidden thing", "cannot film"),
        ("/video a fox 99s", "seconds"),
        ("/vidoe a fox", "Did you mean"),
        ("/history", "Your clips"),
        ("/quota", "credits left"),
        ("/settings", "do not say"),
        ("/models", "Models"),
        ("/recipe 99", "no clip"),
        ("/help", "Matinee makes"),
        ("/privacy", "I keep"),
        ("/privacy delete", "cannot be undone"),
        ("/buy", "How many credits"),
        ("/paysupport", "A pack of which"),
        ("/admin stats", "Only an admin"),
    ):
        await scribe.say(line, answer)
    await scribe.press(status, "Report")
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "JPEG")
    await ada.writes("", photo=picture.getvalue())
    scribe.note("(a photo)", await ada.hears("comes to life"))
    grete = Someone(ada.server, "Grete", language="de")
    await grete.writes("/video ein Fuchs im Schnee #jazz 2,5s")
    scribe.note("Grete, in German: /video ein Fuchs im Schnee #jazz 2,5s", await grete.hears("#"))
    await house.telegram.until_delivered(5)


async def main(folder: Path) -> None:
    async with TelegramServer() as server:
        with tempfile.TemporaryDirectory() as data:
            options = Options(token=server.token, api=server.url, stars=2)
            async with cinema(Path(data), options, credits_=10) as house:
                scribe = Scribe(Someone(server, "Ada"), house)
                server.world.patience = (1000, 1.0)
                await talk(scribe)
    (folder / "telegram-transcript.md").write_text("\n".join(scribe.lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
