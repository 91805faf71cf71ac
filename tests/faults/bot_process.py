"""`python -m tests.faults.bot_process LIFE`: the real bot, connected to the loopback chats."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.errors import StartError
from bot.frontends.discord.frontend import DiscordFrontend
from bot.frontends.telegram.frontend import Options, Telegram
from bot.pipeline.delivery import Frontend
from bot.runtime import app, event_loop, logs
from bot.runtime.frontend_registry import Makers
from bot.runtime.settings import Settings, load
from bot.studio.studio import Studio
from generation import failpoint
from generation.clip import Clip
from generation.engines.engine import OnProgress, Order
from tests.fakes.discord_app import QuickEngine
from tests.fakes.discord_connector import connector

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
class Life:
    """One start of the bot; a platform whose address is empty is not served."""

    data: str
    discord: tuple[int, str, str] | None = None  # port, authority as PEM, token
    telegram: tuple[str, str] | None = None  # address, token
    real_engine: bool = False  # then failpoints strike in its child alone
    control: bool = False  # Telegram is sent to first and written down afterwards, as no clip should be
    grace: float = 30.0
    pauses: tuple[float, ...] = (0.0,)  # how long the stand-in engine takes for job 1, 2 and so on
    environment: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class SendsThenMarks(Telegram):
    """The control: what may have been sent is sent again, so a crash at the wrong moment doubles a clip."""

    deduplicates = True


def makers(life: Life) -> Makers:
    made: dict[str, Callable[[Studio], Frontend]] = {}
    if life.discord is not None:
        port, authority, discord_token = life.discord

        def discord(studio: Studio) -> Frontend:
            link = connector(port, authority)
            return DiscordFrontend(studio, discord_token, connector=link, guild_ready_timeout=0.05)

        made["discord"] = discord
    if life.telegram is not None:
        options = Options(token=life.telegram[1], api=life.telegram[0])
        kind = SendsThenMarks if life.control else Telegram
        made["telegram"] = lambda studio: kind(studio, options)
    return made


class Quick(QuickEngine):
    pauses: tuple[float, ...] = (0.0,)

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        number = int(order.label.partition(".")[0]) - 1
        await asyncio.sleep(self.pauses[min(number, len(self.pauses) - 1)])
        return await super().render(order, on_progress)

    @property
    def silent_for(self) -> float:
        """It is always well."""
        return 0.0


def settings(life: Life) -> Settings:
    file = Path(life.data).with_name("matinee.toml")
    if not file.exists():
        file.write_text(CONFIG, encoding="utf-8")
    return load(file=file, environment={}, flags={"studio.data": life.data})


def live(life: Life) -> int:
    """One life of the bot, to its exit code."""
    os.environ.update(life.environment)
    if not life.real_engine:  # the child arms itself, and the bot passes some of the same places
        failpoint.arm(os.environ)
    chosen = settings(life)
    logs.start(level="info", style="json", prompts=True, secrets=[])
    engine = None if life.real_engine else Quick(size=2048, slots=2)
    if engine is not None:
        engine.pauses = tuple(life.pauses)
    try:
        event_loop.run(app.run_with(chosen, makers(life), engine, grace=life.grace))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


def _read(told: str) -> Life:
    facts: dict[str, Any] = json.loads(told)
    for name in ("discord", "telegram"):
        facts[name] = tuple(facts[name]) if facts[name] else None
    return Life(**facts)


if __name__ == "__main__":
    sys.exit(live(_read(sys.argv[1])))
