"""The real bot, led to the loopback chats, as a process that may be killed at any moment.

`python -m tests.faults.house` reads one JSON life a line and forks a bot for each, so that a restart spends
no time on imports; `python -m tests.faults.house '{...}'` is one bot by itself, as an operator starts it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot import app, logs
from bot.chats import Makers
from bot.delivery import Frontend
from bot.errors import StartError
from bot.frontends.discord.frontend import DiscordFrontend
from bot.frontends.telegram.frontend import Options, Telegram
from bot.settings import Settings, load
from bot.studio import Studio
from generation import failpoint
from generation.clip import Clip
from generation.engines import OnProgress, Order
from tests.fakes.discord_house import QuickEngine
from tests.fakes.discord_reach import connector

PR_SET_PDEATHSIG = 1
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
    real_engine: bool = False
    control: bool = False  # Telegram is sent to first and written down afterwards, as no clip should be
    grace: float = 30.0
    pauses: tuple[float, ...] = (0.0,)  # how long the stand-in engine takes for job 1, 2 and so on
    log: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


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
    failpoint.arm(os.environ)
    chosen = settings(life)
    logs.start(level="info", style="json", prompts=True, secrets=[])
    engine = None if life.real_engine else Quick(size=2048, slots=2)
    if engine is not None:
        engine.pauses = tuple(life.pauses)
    try:
        asyncio.run(app.run_with(chosen, makers(life), engine, grace=life.grace))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


def fork(life: Life) -> int:
    """A bot as a child of ours, in a session of its own; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # whoever ends the tests ends the bots
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a bot's children are its own to wait for
        page = os.open(life.log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(page, 1)
        os.dup2(page, 2)
        code = live(life)
    except BaseException:  # noqa: BLE001  (a forked child must never go on as its parent)
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _read(line: str) -> Life:
    facts: dict[str, Any] = json.loads(line)
    for name in ("discord", "telegram"):
        facts[name] = tuple(facts[name]) if facts[name] else None
    return Life(**facts)


def warm() -> None:
    """One life without chats, so that those to come find everything imported and looked up."""

    async def once(folder: str) -> None:
        async with app.opened(settings(Life(data=f"{folder}/data")), {}, Quick()):
            pass

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(once(folder))


def serve() -> None:
    """Forks by order, and says the number of who was born; whoever waits for a death has that."""
    logs.start(level="error", style="json", prompts=True, secrets=[])
    warm()
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        sys.stdout.write(f"{fork(_read(line))}\n")
        sys.stdout.flush()


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(live(_read(sys.argv[1])))
    serve()
