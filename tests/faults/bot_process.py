"""`python -m tests.faults.bot_process RUN` runs the real bot against the fake chat servers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.errors import StartError
from bot.domain.frontend import Frontend
from bot.frontends.discord.frontend import DiscordFrontend
from bot.frontends.telegram.frontend import Options, Telegram
from bot.runtime import app, event_loop, logs
from bot.runtime.frontend_registry import FrontendFactories
from bot.runtime.settings import Settings, load
from bot.studio.studio import Studio
from generation import failpoint
from tests.fakes.discord_connector import connector
from tests.fakes.engine import FakeEngine

CONFIG = """
[studio]
model = "tiny"
disk_floor_mb = 0
[engine]
nice = 0
slots = 3
[quota]
credits = 1000000
[queue]
per_person = 1000
per_community = 10000
in_all = 10000
burst = 0
[models.tiny]
family = "testcard"
title = "Tiny"
[models.tiny.limits]
kinds = ["video", "image"]
width = 64
height = 64
min_side = 32
seconds = 0.5
min_seconds = 0.5
fps = 8.0
steps = 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotRun:
    """How to run the bot once; a platform without an address is left out."""

    data: str
    discord: tuple[int, str, str] | None = None  # port, authority as PEM, token
    telegram: tuple[str, str] | None = None  # address, token
    real_engine: bool = False  # then failpoints trigger only in its child process
    control: bool = False  # treat Telegram as if it deduplicated sends, which it does not
    grace: float = 30.0
    pauses: tuple[float, ...] = (0.0,)  # how long the fake engine takes for job 1, 2 and so on
    environment: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class SendThenMarkTelegram(Telegram):
    """The control: clips that may have been sent are sent again, so a crash can duplicate one."""

    deduplicates = True


def frontend_factories(run: BotRun) -> FrontendFactories:
    factories: dict[str, Callable[[Studio], Frontend]] = {}
    if run.discord is not None:
        port, authority, discord_token = run.discord

        def discord(studio: Studio) -> Frontend:
            discord_connector = connector(port, authority)
            return DiscordFrontend(
                studio, discord_token, connector=discord_connector, guild_ready_timeout=0.05
            )

        factories["discord"] = discord
    if run.telegram is not None:
        options = Options(token=run.telegram[1], api_url=run.telegram[0])
        frontend_class = SendThenMarkTelegram if run.control else Telegram
        factories["telegram"] = lambda studio: frontend_class(studio, options)
    return factories


def load_settings(run: BotRun) -> Settings:
    file = Path(run.data).with_name("matinee.toml")
    if not file.exists():
        file.write_text(CONFIG, encoding="utf-8")
    return load(file=file, environment={}, flags={"studio.data": run.data})


def run_bot(run: BotRun) -> int:
    """Run the bot until it ends; returns its exit code."""
    os.environ.update(run.environment)
    if not run.real_engine:  # the child process arms itself; the bot passes some of the same failpoints
        failpoint.arm(os.environ)
    loaded_settings = load_settings(run)
    logs.configure_logging(level="info", style="json", prompts=True, secrets=[])
    engine = None if run.real_engine else FakeEngine(size=2048, pauses=run.pauses)
    try:
        event_loop.run(
            app.run_with_frontends(loaded_settings, frontend_factories(run), engine, shutdown_grace=run.grace)
        )
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


def parse_run(text: str) -> BotRun:
    fields: dict[str, Any] = json.loads(text)
    for name in ("discord", "telegram"):
        fields[name] = tuple(fields[name]) if fields[name] else None
    return BotRun(**fields)


if __name__ == "__main__":
    sys.exit(run_bot(parse_run(sys.argv[1])))
