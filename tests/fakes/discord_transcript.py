"""Sends every command to a loopback Discord and records the answers as text and as a screenshot.

Run as `python -m tests.fakes.discord_transcript docs`; the screenshot needs a browser.
"""

from __future__ import annotations

import asyncio
import html
import io
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fakes.discord_app import (
    DiscordApp,
    discord_app,
    discord_engine,
    wait_for_clip_message,
    wait_until_final,
)
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import Person, Reply, labels, person, text_of
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


class TranscriptWriter:
    def __init__(self) -> None:
        note = "Written by `python -m tests.fakes.discord_transcript docs`, not by hand."
        self.lines: list[str] = ["# What Matinee answers on Discord", "", note, ""]
        self.card_html: list[str] = []

    def record(self, line: str, message: Message, *, picture: bool = False) -> None:
        visibility = " (only the asker sees it)" if message.ephemeral else ""
        files = [f"[{attachment.filename}]" for attachment in message.attachments]
        shown = [f"> {part}" for part in as_displayed(text_of(message)).splitlines()]
        shown += [f"> {name}" for name in files]
        button_labels = ", ".join(label for label in labels(message) if label)
        buttons = ["", f"Buttons: {button_labels}"] if button_labels else []
        self.lines += [f"**{line}**{visibility}", "", "  \n".join(shown), *buttons, ""]
        if picture:
            self.card_html.append(
                f'<div class="who">{html.escape(line)}</div>{_components_html(message.components)}'
            )


def as_displayed(text: str) -> str:
    """Show timestamps and commands as a client does."""
    text = re.sub(r"<t:\d+:t>", "00:00", text)
    text = re.sub(r"<t:\d+:R>", "in 9 hours", text)
    return re.sub(r"</([\w ]+):\d+>", r"`/\1`", text)


def _components_html(components: list[JSON]) -> str:
    return "".join(map(_component_html, components))


def _component_html(part: JSON) -> str:
    inner = _components_html(part.get("components", []))
    label = html.escape(part.get("label") or part.get("placeholder") or "")
    emoji = (part.get("emoji") or {}).get("name") or ""
    red = " red" if part.get("style") == 4 else ""
    colour = f"#{part.get('accent_color') or 0x6B7280:06x}"
    shown = {
        1: f'<div class="row">{inner}</div>',
        2: f'<div class="b{red}">{emoji} {label}</div>',
        3: f'<div class="s">{label} &#9662;</div>',
        10: _text_html(part.get("content", "")),
        12: '<div class="media">&#9654;</div>',
        17: f'<div class="card" style="border-color: {colour}">{inner}</div>',
    }
    return shown.get(part["type"], "")


def _text_html(content: str) -> str:
    small = content.startswith("-# ")
    markup = html.escape(as_displayed(content).replace("-# ", "").replace("\\", ""))
    markup = re.sub(r"(?:```\n?)(.*?)(?:\n?```)|`(.*?)`", r"<code>\1\2</code>", markup, flags=re.DOTALL)
    bold = markup.startswith("**") and markup.endswith("**")
    markup = f"<b>{markup[2:-2]}</b>" if bold else markup
    return f'<p class="{"small" if small else ""}">{markup}</p>'


@dataclass
class TranscriptSession:
    server: DiscordServer
    matinee: DiscordApp
    writer: TranscriptWriter

    async def record_reply(self, line: str, reply: Reply, *words: str, picture: bool = False) -> Message:
        message = await (reply.says(*words) if any(words) else reply.message())
        self.writer.record(line, message, picture=picture)
        return message

    async def record_clip(self, line: str, number: int, *, picture: bool = False) -> Message:
        clip = await wait_for_clip_message(self.server, number)
        await wait_until_final(self.server, self.matinee, number)
        self.writer.record(line, clip, picture=picture)
        return clip

    def pause_engine(self) -> None:
        self.matinee.engine.unblocked.clear()

    def resume_engine(self) -> None:
        self.matinee.engine.unblocked.set()


async def _record_making(chat: TranscriptSession, ana: Person) -> Message:
    """Record the first wish and everything that its buttons do; return the first clip."""
    chat.pause_engine()
    first = await ana.types("/video", prompt="a fox in the snow", genre="lofi", seconds=4.0, model="able")
    await chat.record_reply(
        "/video prompt:a fox in the snow genre:lofi", first, "Generating frames", picture=True
    )
    second = await ana.types("/video", prompt="a harbour at dawn")
    waiting = await chat.record_reply("/video prompt:a harbour at dawn", second, "is next", picture=True)
    await chat.record_reply("/queue", await ana.types("/queue"), "#2")
    await ana.clicks(waiting, "Cancel")
    await chat.record_reply("(Cancel)", second, "cancelled")
    chat.resume_engine()
    clip = await chat.record_clip("... and then", 1, picture=True)
    chat.pause_engine()
    await ana.clicks(clip, "Re-roll")
    await chat.record_reply(
        "(Edit prompt), then: a fox in the rain", await _edit_prompt(ana, clip), "Ready in", picture=True
    )
    chat.resume_engine()
    await wait_for_clip_message(chat.server, 4)
    await ana.picks(clip, "New music", "jazz")
    await chat.record_clip("(New music: jazz)", 5)
    await ana.clicks(clip, "Extend")
    await chat.record_clip("(Extend)", 6)
    await chat.record_reply("(Recipe)", await ana.clicks(clip, "Recipe"), "seed", picture=True)
    await chat.record_reply("(Report)", await ana.clicks(clip, "Report"), "Thank you")
    return clip


async def _edit_prompt(ana: Person, clip: Message) -> Reply:
    opened = await ana.clicks(clip, "Edit prompt")
    return await ana.fills(opened, prompt="a fox in the rain")


def _png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (96, 64), "orange").save(data, "PNG")
    return data.getvalue()


async def _record_other_kinds(chat: TranscriptSession, ana: Person) -> None:
    """Record the other commands that start jobs."""
    picture = ana.attach("cat.png", _png())
    await ana.types("/image", prompt="a lighthouse", model="able")
    await wait_until_final(chat.server, chat.matinee, 7)
    still = next(m for m in chat.server.world.messages.values() if "a lighthouse" in text_of(m))
    chat.writer.record("/image prompt:a lighthouse", still)
    await ana.types("/animate", image=picture, prompt="it stretches", model="able")
    await chat.record_clip("/animate image:cat.png prompt:it stretches", 8)
    await ana.types("/music", clip="1", genre="ambient", mood="calm")
    await chat.record_clip("/music clip:1 genre:ambient mood:calm", 9)


INFO_LINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/history", {}),
    ("/quota", {}),
    ("/settings", {"genre": "jazz", "ping": True}),
    ("/settings", {"forget": True}),
    ("/settings", {"link": "new"}),
    ("/models", {}),
    ("/recipe", {"clip": "1"}),
    ("/report", {"clip": "1", "why": "not a fox"}),
    ("/help", {}),
    ("/privacy", {}),
    ("/privacy", {"do": "export"}),
    ("/privacy", {"do": "delete"}),
)
ADMIN_LINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/server show", {}),
    ("/server defaults", {"genre": "rock", "language": "de"}),
    ("/server defaults", {"forget": True}),
    ("/server prompts", {"who": "asker"}),
    ("/server prompts", {"who": "everyone"}),
    ("/admin", {"line": "stats"}),
    ("/admin", {"line": "quota pause"}),
)
REFUSED_LINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/video", {"prompt": "something forbidden"}),
    ("/appeal", {"why": "it was a joke"}),
    ("/settings", {"genre": "jaz"}),
    ("/recipe", {"clip": "99"}),
    ("/cancel", {"clip": "1"}),
)
LINES_WITH_SCREENSHOT = {"/quota", "/help", "/server show", "/models"}


async def _record_lines(
    chat: TranscriptSession, user: Person, lines: tuple[tuple[str, dict[str, Any]], ...]
) -> None:
    for line, options in lines:
        typed = " ".join([line, *(f"{name}:{value}" for name, value in options.items())])
        picture = (line in LINES_WITH_SCREENSHOT and not options) or options.get("genre") == "jaz"
        await chat.record_reply(typed, await user.types(line, **options), picture=picture)


async def _record_everything(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person
) -> TranscriptWriter:
    chat = TranscriptSession(server, matinee, TranscriptWriter())
    clip = await _record_making(chat, ana)
    await _record_other_kinds(chat, ana)
    await _record_lines(chat, ana, INFO_LINES)
    matinee.frontend.client.handlers.operators = frozenset({int(boss.user.id)})
    await _record_lines(chat, boss, ADMIN_LINES)
    general = boss.channel
    await chat.record_reply(
        "/server channel place:#general", await boss.types("/server channel", place=general)
    )
    await chat.record_reply(
        "/server reports place:#general", await boss.types("/server reports", place=general)
    )
    await _record_lines(chat, ana, REFUSED_LINES)
    greta = person(server, "Greta", general, locale="de")
    chat.pause_engine()
    await chat.record_reply(
        "/video prompt:ein Fuchs im Schnee (a German client)",
        await greta.types("/video", prompt="ein Fuchs im Schnee"),
        "Bilder erzeugen",
        picture=True,
    )
    chat.resume_engine()
    await wait_for_clip_message(server, 10)
    await chat.record_reply("(Delete)", await ana.clicks(clip, "Delete"), "deleted")
    return chat.writer


def _screenshot(page: str, picture: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return  # the existing screenshot stays
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cards.html"
        source.write_text(page, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=600,2600"]
        command = [
            browser,
            *flags,
            f"--user-data-dir={folder}",
            f"--screenshot={picture.absolute()}",
            str(source),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603  (all arguments are ours)


async def _main(folder: Path) -> str:
    async with discord_server() as server:
        channel = server.world.guild().channel("general")
        ana = person(server, "Ana", channel)
        boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
        with tempfile.TemporaryDirectory() as data:
            async with discord_app(
                Path(data),
                server.connector(),
                server.token,
                credits_=100,
                engine=discord_engine(step_pause=0.4),
            ) as matinee:
                await server.world.wait_until(
                    lambda: server.world.commands and server.gateway.connected_sessions
                )
                writer = await _record_everything(server, matinee, ana, boss)
    text = re.sub(r"\d{15,}", "…", "\n".join(writer.lines))
    (folder / "discord-transcript.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(writer.card_html)}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    _screenshot(asyncio.run(_main(target)), target / "discord-cards.png")
