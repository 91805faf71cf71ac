"""Types every command into a loopback Discord and writes down what came back, as text and as a picture.

Run as `python -m tests.fakes.discord_transcript docs`; the picture needs a browser.
"""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fakes.discord_house import HouseOfDiscord, clip_of, house, settled
from tests.fakes.discord_people import Person, Reply, labels, person, text_of
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_world import JSON, Message

MANAGE_GUILD = 1 << 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STYLE = """
body { background: #313338; color: #dbdee1; font: 15px/1.4 "Noto Sans", Arial, sans-serif;
  padding: 18px; width: 560px; margin: 0 }
.who { color: #949ba4; font-size: 13px; margin: 18px 0 6px }
.card { background: #2b2d31; border-left: 4px solid; border-radius: 8px; padding: 14px 16px }
.card p { margin: 0 0 8px; white-space: pre-wrap }
.small { color: #949ba4; font-size: 13px }
.media { height: 230px; border-radius: 8px; font-size: 46px; margin-bottom: 8px; display: flex;
  background: linear-gradient(135deg, #1f3a5f, #b6743a); align-items: center; justify-content: center }
.row { display: flex; gap: 8px; flex-wrap: wrap; margin-top: 8px }
.b { background: #4e5058; border-radius: 8px; padding: 6px 14px; font-weight: 500 }
.b.red { background: #c0392b }
code { background: #1e1f22; padding: 2px 4px }
.s { background: #1e1f22; border-radius: 8px; padding: 8px 12px; flex: 1; color: #949ba4 }
"""


class Scribe:
    def __init__(self) -> None:
        written = "Written by `python -m tests.fakes.discord_transcript docs`, not by hand."
        self.lines: list[str] = ["# What Matinee answers on Discord", "", written, ""]
        self.pictures: list[str] = []

    def note(self, line: str, message: Message, *, picture: bool = False) -> None:
        whom = " (only the asker sees it)" if message.ephemeral else ""
        files = [f"[{attachment.filename}]" for attachment in message.attachments]
        shown = [f"> {part}" for part in text_of(message).splitlines()] + [f"> {name}" for name in files]
        pressed = ", ".join(label for label in labels(message) if label)
        buttons = ["", f"Buttons: {pressed}"] if pressed else []
        self.lines += [f"**{line}**{whom}", "", "  \n".join(shown), *buttons, ""]
        if picture:
            self.pictures.append(f'<div class="who">{html.escape(line)}</div>{_card(message.components)}')


def _card(components: list[JSON]) -> str:
    return "".join(map(_part, components))


def _part(part: JSON) -> str:
    inner = _card(part.get("components", []))
    label = html.escape(part.get("label") or part.get("placeholder") or "")
    emoji = (part.get("emoji") or {}).get("name") or ""
    red = " red" if part.get("style") == 4 else ""
    colour = f"#{part.get('accent_color') or 0x6B7280:06x}"
    shown = {
        1: f'<div class="row">{inner}</div>',
        2: f'<div class="b{red}">{emoji} {label}</div>',
        3: f'<div class="s">{label} &#9662;</div>',
        10: _text(part.get("content", "")),
        12: '<div class="media">&#9654;</div>',
        17: f'<div class="card" style="border-color: {colour}">{inner}</div>',
    }
    return shown.get(part["type"], "")


def _text(content: str) -> str:
    small = content.startswith("-# ")
    said = html.escape(content.replace("-# ", "").replace("\\", ""))
    said = re.sub(r"(?:```\n?)(.*?)(?:\n?```)|`(.*?)`", r"<code>\1\2</code>", said, flags=re.DOTALL)
    bold = said.startswith("**") and said.endswith("**")
    said = f"<b>{said[2:-2]}</b>" if bold else said
    return f'<p class="{"small" if small else ""}">{said}</p>'


async def _chat(server: DiscordServer, matinee: HouseOfDiscord, ana: Person, boss: Person) -> Scribe:
    scribe = Scribe()

    async def say(line: str, reply: Reply, *words: str, picture: bool = False) -> Message:
        message = await (reply.says(*words) if any(words) else reply.message())
        scribe.note(line, message, picture=picture)
        return message

    matinee.engine.gate.clear()
    first = await ana.types("/video", prompt="a fox in the snow", genre="lofi", seconds=4.0, model="able")
    await say("/video prompt:a fox in the snow genre:lofi", first, "Painting", picture=True)
    second = await ana.types("/video", prompt="a harbour at dawn")
    waiting = await say("/video prompt:a harbour at dawn", second, "is next", picture=True)
    await say("/queue", await ana.types("/queue"), "#2")
    await ana.clicks(waiting, "Cancel")
    await say("(Cancel)", second, "cancelled")
    matinee.engine.gate.set()
    clip = await clip_of(server, 1)
    await settled(server, matinee, 1)
    scribe.note("... and then", clip, picture=True)
    await say("(Recipe)", await ana.clicks(clip, "Recipe"), "seed", picture=True)
    await say("(Report)", await ana.clicks(clip, "Report"), "Thank you")
    for line in ("/history", "/quota", "/settings", "/models", "/help", "/privacy"):
        await say(line, await ana.types(line), "", picture=line in {"/quota", "/help"})
    await say("/server show", await boss.types("/server show"), "", picture=True)
    await say(
        "/video prompt:something forbidden", await ana.types("/video", prompt="something forbidden"), "cannot"
    )
    await say("/settings genre:jaz", await ana.types("/settings", genre="jaz"), "Did you mean", picture=True)
    await say("/recipe clip:99", await ana.types("/recipe", clip="99"), "no clip")
    await say("(Delete)", await ana.clicks(clip, "Delete"), "deleted")
    return scribe


def _photograph(page: str, picture: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return  # the picture stays as it is
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cards.html"
        source.write_text(page, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=600,1990"]
        command = [
            browser,
            *flags,
            f"--user-data-dir={folder}",
            f"--screenshot={picture.absolute()}",
            str(source),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603  (all of it is ours)


async def _main(folder: Path) -> str:
    async with discord_server() as server:
        channel = server.world.guild().channel("general")
        ana = person(server, "Ana", channel)
        boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
        with tempfile.TemporaryDirectory() as data:
            async with house(Path(data), server.connector(), server.token, credits_=10) as matinee:
                await server.world.until(lambda: server.world.commands and server.gateway.live)
                scribe = await _chat(server, matinee, ana, boss)
    text = re.sub(r"\d{15,}", "…", "\n".join(scribe.lines))
    (folder / "discord-transcript.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(scribe.pictures)}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    _photograph(asyncio.run(_main(target)), target / "discord-cards.png")
