"""Text that users typed never creates mentions, links, markup or reversed text in a reply."""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

from bot.frontends.telegram.frontend import Options
from tests.bot.moderation.test_prompt_policy import bundled_policy
from tests.fakes.discord_app import discord_app, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import discord_server
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.telegram_app import running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

HOSTILE_TEXT = (
    "fox @everyone @here <@123456789012345678> <@&123456789012345678> <#123456789012345678> </video:12345>"
    " <t:1:R> <:a:123456789012345678> [free](https://evil.example/x) https://evil.example **b** __u__ ~~s~~"
    " `c` ||s|| \u202egpj.exe\u202c \u2066x\u2069 \x07\x1b[31m <b>h</b> <a href='https://evil.example'>h</a>"
    " @evil_person t.me/evil_channel evil.example &lt; \u200bz"
)
LONG_HOSTILE_TEXT = "y" * 300 + HOSTILE_TEXT
MANAGE_GUILD = 1 << 5
ADMIN_LINES = (
    f"announce {HOSTILE_TEXT}",
    f"block discord:42 2h {HOSTILE_TEXT}",
    f"quota grant discord:42 5 {HOSTILE_TEXT}",
    f"unblock {HOSTILE_TEXT}",
    HOSTILE_TEXT,
    f"model enable {HOSTILE_TEXT}",
    "queue list",
    "review list",
    "audit",
)
UNESCAPED_MARKUP = re.compile(r"(?<!\\)(?:\\\\)*[*_~`|<\[]")
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
OWN_MARKUP = re.compile(
    r"^\*\*(?=.)|\*\*$|<t:\d+:[tR]>|https://discord\.com/channels/\S+|\[↗\]\(https://discord\.com/\S+\)"
    r"|<@\d{17,20}>|`/[a-z]+[^`]*`",
    re.MULTILINE,
)
"""Markup that Matinee writes: a bold title, timestamps, links to a clip, mentions in a report."""


def assert_no_control_characters(text: str) -> None:
    strange = [
        c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"} and c not in "\n\u200b\u2060"
    ]
    assert not strange, (strange, text)


def assert_escaped_on_discord(text: str) -> None:
    assert_no_control_characters(text)
    left = OWN_MARKUP.sub("", CODE_BLOCK.sub("", text))
    assert "@everyone" not in left
    assert "@here" not in left
    assert "https://evil" not in left, left
    assert not UNESCAPED_MARKUP.search(left), (UNESCAPED_MARKUP.findall(left), left)


async def test_hostile_text_is_escaped_on_discord(tmp_path: Path) -> None:
    async with discord_server() as server:
        guild = server.world.guild(HOSTILE_TEXT[:90])
        channel = guild.channel("general")
        link = server.connector()
        async with discord_app(
            tmp_path, link, server.token, policy=bundled_policy(operator_words=["forbiddenword"])
        ) as matinee:
            await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
            ana: Person = person(server, HOSTILE_TEXT[:80], channel, permissions=MANAGE_GUILD)
            matinee.frontend.client.handlers.operators = frozenset({int(ana.user.id)})
            await ana.types("/video", prompt=HOSTILE_TEXT, negative=HOSTILE_TEXT)
            clip = await wait_for_clip_message(server, 1)
            await wait_until_final(server, matinee, 1)
            await (await ana.clicks(clip, "Recipe")).message()
            await (await ana.clicks(clip, "Report")).message()
            asked: tuple[tuple[str, dict[str, Any]], ...] = (
                ("/history", {}),
                ("/queue", {}),
                ("/quota", {}),
                ("/recipe", {"clip": "1"}),
                ("/settings", {"genre": HOSTILE_TEXT[:90]}),
                ("/settings", {"link": HOSTILE_TEXT[:90]}),
                ("/recipe", {"clip": HOSTILE_TEXT[:90]}),
                ("/report", {"clip": "1", "why": HOSTILE_TEXT[:400]}),
                ("/video", {"prompt": "x", "style": HOSTILE_TEXT[:90]}),
                ("/video", {"prompt": f"forbiddenword {HOSTILE_TEXT}"}),
                ("/appeal", {"why": HOSTILE_TEXT[:400]}),
                *(("/admin", {"line": line[:500]}) for line in ADMIN_LINES),
                ("/video", {"prompt": LONG_HOSTILE_TEXT}),
            )
            for command, options in asked:
                await (await ana.types(command, **options)).message()
            await wait_for_clip_message(server, 2)
            sent = [m for m in server.world.messages.values() if m.author is server.world.bot]
            assert len(sent) > 20
            for message in sent:
                assert_escaped_on_discord(text_of(message))
                assert not message.mentions
            assert server.world.violations == []


async def test_hostile_text_is_harmless_on_telegram(tmp_path: Path) -> None:
    async with TelegramServer() as server:
        boss = TelegramUser(server, HOSTILE_TEXT)
        group = server.world.add_group(HOSTILE_TEXT, admins=(boss.person,))
        server.world.private_flood_limit = server.world.group_flood_limit = (1000, 0.001)
        options = Options(token=server.token, api_url=server.url, admins=frozenset({boss.id}))
        async with running_app(
            tmp_path, options, policy=bundled_policy(operator_words=["forbiddenword"])
        ) as matinee:
            await boss.writes(f"/video {HOSTILE_TEXT}", chat=group)
            clip = await boss.receives("video", chat=group)
            await matinee.telegram.until_delivered(1)
            await boss.answer_to(await boss.presses(clip, "report"))
            lines = (
                "/start",
                "/history",
                "/queue",
                "/quota",
                "/recipe 1",
                f"/recipe {HOSTILE_TEXT}",
                f"/settings link {HOSTILE_TEXT}",
                f"/{HOSTILE_TEXT[:3]}z {HOSTILE_TEXT}",
                f"/report 1 {HOSTILE_TEXT}",
                f"/video forbiddenword {HOSTILE_TEXT}",
                f"/video x style={HOSTILE_TEXT}",
                f"/appeal {HOSTILE_TEXT}",
                *(f"/admin {line}" for line in ADMIN_LINES),
            )
            for line in lines:
                known = len(boss.bot_messages())
                await boss.writes(line)
                await server.wait_until(partial(_has_new_message, boss, known))
            sent = [*boss.bot_messages(), *boss.bot_messages(group)]
            assert len(sent) > 18
            for message in sent:
                assert_no_control_characters(message.text)
                plain = _without_code(message.text, message.entities)
                kinds = {entity["type"] for entity in message.entities}
                assert kinds <= {"code", "bot_command", "date_time"}, (kinds, message.text)
                for link in ("://evil", "@evil_person", "@everyone", "t.me/evil", "evil.example"):
                    assert link not in plain, (link, plain)


def _has_new_message(boss: TelegramUser, known: int) -> bool:
    return len(boss.bot_messages()) > known


def _without_code(text: str, entities: list[dict[str, object]]) -> str:
    units = text.encode("utf-16-le")
    for entity in entities:
        if entity["type"] == "code":
            start = int(str(entity["offset"])) * 2
            units = (
                units[:start]
                + b" \0" * int(str(entity["length"]))
                + units[start + int(str(entity["length"])) * 2 :]
            )
    return units.decode("utf-16-le")
