"""Every admin verb has the same arguments, answer and audit row in Discord, Telegram and the terminal."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.admin.admin import VERBS
from bot.cli.commands import COMMANDS
from bot.domain.quota import Allowance, Caps
from bot.frontends.telegram.frontend import Options
from bot.runtime.settings import load
from bot.store import admin_decisions
from bot.store.store import Store
from generation.errors import PictureFailed
from tests.bot.store.conftest import hold_running_job
from tests.factories import make_draft
from tests.fakes.discord_app import discord_app
from tests.fakes.discord_server import discord_server
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.telegram_app import running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

if TYPE_CHECKING:
    import pytest

MANAGE_GUILD = 1 << 5
ALLOWANCE = Allowance(credits=1000)
VERB_ARGUMENTS = {
    "quota show": "discord:42",
    "quota set": "discord:42 20",
    "quota grant": "discord:42 5 thank you",
    "quota reset": "discord:42",
    "quota tier": "discord:42 none",
    "quota role": "discord:55 none",
    "queue cancel": "{waiting}",
    "queue move": "{waiting} front",
    "queue clear": "discord:42 yes",
    "block": "discord:42 2h spam and more",
    "unblock": "discord:42",
    "model enable": "{model}",
    "model disable": "{model}",
    "model default": "{model}",
    "channel allow": "discord:9",
    "channel deny": "discord:9",
    "channel forget": "discord:9",
    "review release": "{held}",
    "review reject": "{held}",
    "review strike": "{held}",
    "review confirm": "{report}",
    "review close": "{report}",
    "review pardon": "{report}",
    "stats": "week",
    "announce": "Maintenance tonight.",
}


@dataclass
class AdminInterface:
    """One place where an admin types verbs, and the store behind it."""

    name: str
    store: Callable[[], Awaitable[Store]]
    model: str
    type_line: Callable[[str], Awaitable[str]]

    async def run_verb(self, verb: str) -> tuple[str, list[admin_decisions.AuditEntry]]:
        """Create what the verb needs, run it, and return its answer and the new audit entries."""
        store = await self.store()
        facts = await create_admin_targets(store)
        before = len(await store.audit_entries(1000))
        if self.name == "cli":
            await store.close()
        line = f"{verb} {VERB_ARGUMENTS.get(verb, '')}".strip().format(model=self.model, **facts)
        answer = await self.type_line(line)
        store = await self.store()
        rows = await store.audit_entries(1000)
        if self.name == "cli":
            await store.close()
        return answer, rows[: len(rows) - before]


async def create_admin_targets(store: Store) -> dict[str, object]:
    """Create a waiting job, a held job and a report, with the queue paused."""
    await store.pause(paused=True)
    numbers = []
    for _ in range(2):
        done = await store.enqueue(make_draft("42"), allowance=ALLOWANCE, caps=Caps())
        numbers.append(done.job.id)
    held, waiting = numbers
    job = await store.claim(lease=60, only_job=held)
    assert job is not None
    await hold_running_job(store, job.id, PictureFailed("testcard", "black frames"))
    report = await store.file_report("report", person=f"discord:{held}", job=held, words="odd")
    return {"held": held, "waiting": waiting, "report": report}


@asynccontextmanager
async def discord(folder: Path) -> AsyncIterator[AdminInterface]:
    async with discord_server() as server:
        channel = server.world.guild().channel("general")
        async with discord_app(folder, server.connector(), server.token) as matinee:
            await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
            matinee.engine.unblocked.clear()
            boss: Person = person(server, "Boss", channel, permissions=MANAGE_GUILD)
            matinee.frontend.client.handlers.operators = frozenset({int(boss.user.id)})

            async def store() -> Store:
                return matinee.store

            async def types(line: str) -> str:
                return text_of(await (await boss.types("/admin", line=line)).message())

            yield AdminInterface("discord", store, "able", types)


@asynccontextmanager
async def telegram(folder: Path) -> AsyncIterator[AdminInterface]:
    async with TelegramServer() as server:
        boss = TelegramUser(server, "Boss")
        options = Options(token=server.token, api_url=server.url, admins=frozenset({boss.id}))
        server.world.private_flood_limit = (1000, 0.001)
        async with running_app(folder, options) as matinee:
            matinee.engine.unblocked.clear()

            async def store() -> Store:
                return matinee.store

            async def types(line: str) -> str:
                known = len(boss.bot_messages())
                await boss.writes(f"/admin {line}")
                await server.wait_until(lambda: len(boss.bot_messages()) > known)
                return boss.bot_messages()[known].text

            yield AdminInterface("telegram", store, "tiny", types)


@asynccontextmanager
async def terminal(folder: Path, read_output: Callable[[], str]) -> AsyncIterator[AdminInterface]:
    settings = load(environment={}, flags={"studio.data": str(folder)})

    async def store() -> Store:
        return await Store.open(folder)

    async def types(line: str) -> str:
        read_output()  # drop earlier output
        assert await COMMANDS["admin"](settings, Namespace(line=line.split())) == 0
        return read_output()

    folder.mkdir()
    yield AdminInterface("cli", store, "testcard", types)


def normalized_answer(answer: str, model: str) -> str:
    """Return the first line without a chat's markup and without random values."""
    text = re.sub(r"[\\*\u200b\u2060]|-# ", "", answer.strip().splitlines()[0])
    return re.sub(r"\d+([.,]\d+)?", "0", text.replace(model, "MODEL"))


async def test_every_verb_has_the_same_answer_and_audit_row_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        discord(tmp_path / "discord") as in_discord,
        telegram(tmp_path / "telegram") as in_telegram,
        terminal(tmp_path / "cli", lambda: capsys.readouterr().out) as on_terminal,
    ):
        for verb, known in VERBS.items():
            answers = set()
            for interface in (in_discord, in_telegram, on_terminal):
                answer, rows = await interface.run_verb(verb)
                recorded = [(row.verb, row.admin.partition(":")[0]) for row in rows]
                assert recorded == ([] if known.read_only else [(verb, interface.name)]), (
                    verb,
                    interface.name,
                )
                answers.add(normalized_answer(answer, interface.model))
            assert len(answers) == 1, (verb, answers)
            assert not any(word in next(iter(answers)) for word in ("cannot", "Only an admin", "missing")), (
                verb
            )
