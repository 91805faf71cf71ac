"""Whatever somebody typed, no reply calls anybody, links anywhere, is marked up or turned around by it."""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

from bot.frontends.telegram.frontend import Options
from tests.bot.moderation.test_prompt_policy import a_policy
from tests.fakes.discord_app import clip_of, house, settled
from tests.fakes.discord_server import discord_server
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.telegram_app import cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone

NASTY = (
    "fox @everyone @here <@123456789012345678> <@&123456789012345678> <#123456789012345678> </video:12345>"
    " <t:1:R> <:a:123456789012345678> [free](https://evil.example/x) https://evil.example **b** __u__ ~~s~~"
    " `c` ||s|| \u202egpj.exe\u202c \u2066x\u2069 \x07\x1b[31m <b>h</b> <a href='https://evil.example'>h</a>"
    " @evil_person t.me/evil_channel evil.example &lt; \u200bz"
)
LONG = "y" * 300 + NASTY
MANAGE_GUILD = 1 << 5
ADMIN_LINES = (
    f"announce {NASTY}",
    f"block discord:42 2h {NASTY}",
    f"quota grant discord:42 5 {NASTY}",
    f"unblock {NASTY}",
    NASTY,
    f"model enable {NASTY}",
    "queue list",
    "review list",
    "audit",
)
UNQUOTED = re.compile(r"(?<!\\)(?:\\\\)*[*_~`|<\[]")
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
OURS = re.compile(
    r"^\*\*(?=.)|\*\*$|<t:\d+:[tR]>|https://discord\.com/channels/\S+|\[↗\]\(https://discord\.com/\S+\)"
    r"|<@\d{17,20}>|`/[a-z]+[^`]*`",
    re.MULTILINE,
)
"""Our own markup: a title in bold, moments, links to a clip, whose clip was reported."""


def assert_plain(text: str) -> None:
    strange = [
        c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"} and c not in "\n\u200b\u2060"
    ]
    assert not strange, (strange, text)


def assert_tame_on_discord(text: str) -> None:
    assert_plain(text)
    left = OURS.sub("", CODE_BLOCK.sub("", text))
    assert "@everyone" not in left
    assert "@here" not in left
    assert "https://evil" not in left, left
    assert not UNQUOTED.search(left), (UNQUOTED.findall(left), left)


async def test_on_discord(tmp_path: Path) -> None:
    async with discord_server() as server:
        guild = server.world.guild(NASTY[:90])
        channel = guild.channel("general")
        link = server.connector()
        async with house(
            tmp_path, link, server.token, policy=a_policy(operator=["forbiddenword"])
        ) as matinee:
            await server.world.until(lambda: server.world.commands and server.gateway.live)
            ana: Person = person(server, NASTY[:80], channel, permissions=MANAGE_GUILD)
            matinee.frontend.client.desk.operators = frozenset({int(ana.user.id)})
            await ana.types("/video", prompt=NASTY, negative=NASTY)
            clip = await clip_of(server, 1)
            await settled(server, matinee, 1)
            await (await ana.clicks(clip, "Recipe")).message()
            await (await ana.clicks(clip, "Report")).message()
            asked: tuple[tuple[str, dict[str, Any]], ...] = (
                ("/history", {}),
                ("/queue", {}),
                ("/quota", {}),
                ("/recipe", {"clip": "1"}),
                ("/settings", {"genre": NASTY[:90]}),
                ("/settings", {"link": NASTY[:90]}),
                ("/recipe", {"clip": NASTY[:90]}),
                ("/report", {"clip": "1", "why": NASTY[:400]}),
                ("/video", {"prompt": "x", "style": NASTY[:90]}),
                ("/video", {"prompt": f"forbiddenword {NASTY}"}),
                ("/appeal", {"why": NASTY[:400]}),
                *(("/admin", {"line": line[:500]}) for line in ADMIN_LINES),
                ("/video", {"prompt": LONG}),
            )
            for command, options in asked:
                await (await ana.types(command, **options)).message()
            await clip_of(server, 2)
            told = [m for m in server.world.messages.values() if m.author is server.world.bot]
            assert len(told) > 20
            for message in told:
                assert_tame_on_discord(text_of(message))
                assert not message.mentions
            assert server.world.complaints == []


async def test_on_telegram(tmp_path: Path) -> None:
    async with TelegramServer() as server:
        boss = Someone(server, NASTY)
        group = server.world.group(NASTY, admins=(boss.person,))
        server.world.patience = server.world.group_patience = (1000, 0.001)
        options = Options(token=server.token, api=server.url, admins=frozenset({boss.id}))
        async with cinema(tmp_path, options, policy=a_policy(operator=["forbiddenword"])) as matinee:
            await boss.writes(f"/video {NASTY}", chat=group)
            clip = await boss.receives("video", chat=group)
            await matinee.telegram.until_delivered(1)
            await boss.answer_to(await boss.presses(clip, "report"))
            lines = (
                "/start",
                "/history",
                "/queue",
                "/quota",
                "/recipe 1",
                f"/recipe {NASTY}",
                f"/settings link {NASTY}",
                f"/{NASTY[:3]}z {NASTY}",
                f"/report 1 {NASTY}",
                f"/video forbiddenword {NASTY}",
                f"/video x style={NASTY}",
                f"/appeal {NASTY}",
                *(f"/admin {line}" for line in ADMIN_LINES),
            )
            for line in lines:
                known = len(boss.heard())
                await boss.writes(line)
                await server.until(partial(_more_than, boss, known))
            told = [*boss.heard(), *boss.heard(group)]
            assert len(told) > 18
            for message in told:
                assert_plain(message.text)
                said = _without_code(message.text, message.entities)
                kinds = {entity["type"] for entity in message.entities}
                assert kinds <= {"code", "bot_command", "date_time"}, (kinds, message.text)
                for link in ("://evil", "@evil_person", "@everyone", "t.me/evil", "evil.example"):
                    assert link not in said, (link, said)


def _more_than(boss: Someone, known: int) -> bool:
    return len(boss.heard()) > known


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
