"""`python -m tests.faults.chaos --kills 200 --jobs 1000 --seed 1`: the whole bot, killed at random.

Both loopback chats are served. They do what real ones do: take a clip, then answer with an error or not at
all. At the end nothing may be lost or doubled. `--control` sends first and writes down afterwards, as Matinee
does not: it must show doubles, else this harness sees none where there are some.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.discord_users import Person, Reply, person, text_of
from tests.fakes.telegram_faults import html, refused, reset
from tests.fakes.telegram_users import Someone
from tests.faults.consistency import Books, close, flags
from tests.faults.harness import Theatre, kill, named, theatre

VICTIMS = {"bot": 30, "child": 30, "ffmpeg": 25, "all": 15}
MOMENTS = {"now": 50, "a clip comes in": 25, "a clip is there": 25}
VIDEOS = 0.1
"""The rest are pictures, which take no ffmpeg and little time."""
BACKLOG = 24
FAULTS = 0.08
"""How many of the calls that carry a clip go wrong by script."""
PATIENCE = 45.0
"""Seconds without any job coming to its end after which something is stuck."""
UPLOADS = {"sendVideo", "sendPhoto", "editMessageMedia"}
LEFT = "SELECT count(*) FROM job WHERE state NOT IN ('delivered', 'uncertain', 'failed', 'cancelled')"
OWED = "SELECT count(*) FROM unsaid"


@dataclass
class Chaos:
    house: Theatre
    kills: int
    jobs: int
    draw: random.Random
    control: bool = False
    pid: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    waiting_for: str = ""  # the moment of a call at which the next blow falls
    victim: str = ""
    asked: int = 0
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    starts: int = 0

    async def run(self, within: float) -> Books:
        """Until every job is at its end; a TimeoutError after `within` seconds."""
        self._people()
        self._watch()
        parts = [self._keep_alive(), self._ask(), self._strike()]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*tasks[1:])
                self.house.discord.faults.clear()
                await self._settled()
            self.over.set()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await self.house.ended(self.pid)
        finally:
            self.over.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return close(self.house, self._promised())

    def _people(self) -> None:
        telegram, discord = self.house.telegram, self.house.discord
        telegram.world.patience = (1000, 0.01)
        channel = discord.world.guild().channel("general")
        self.ana: list[Person] = [person(discord, f"Ana{n}", channel) for n in range(12)]
        self.ada: list[Someone] = [Someone(telegram, f"Ada{n}") for n in range(40)]

    def _watch(self) -> None:
        async def telegram(call: object, done: bool, /) -> None:  # noqa: FBT001  (the shape of a Witness)
            method = getattr(call, "method", "")
            if method == "sendMessage" and done:
                self._throw_away()
            if method in UPLOADS:
                await self._moment(done=done)
                if not done and self.draw.random() < FAULTS:
                    self._fail_telegram(method)

        async def discord(call: object, done: bool, /) -> None:  # noqa: FBT001  (the shape of a Witness)
            if getattr(call, "files", None):
                if not done and self.draw.random() < FAULTS:
                    self._fail_discord(str(getattr(call, "method", "")))
                await self._moment(done=done)

        self.house.telegram.witness, self.house.discord.witness = telegram, discord

    def _throw_away(self) -> None:
        """Many people delete what is still in the works: their clips come as messages of their own."""
        said = [message for message in self.house.telegram.world.messages if message.from_bot]
        if not flags(said[-1]) and self.draw.random() < 0.6:
            said[-1].deleted = True

    def _fail_telegram(self, method: str) -> None:
        faults = {
            "502, done": html(502, done=True),
            "reset, done": reset(done=True),
            "reset": reset(done=False),
            "500": refused(500, "Internal Server Error"),
        }
        name = self.draw.choice(sorted(faults))
        self.faults[f"telegram {name}"] += 1
        self.house.telegram.fail(method, faults[name])

    def _fail_discord(self, method: str) -> None:
        how = self.draw.choice(["502, done", "drop, done", "drop", "502"])
        self.faults[f"discord {how}"] += 1
        commit, drop = how.endswith("done"), how.startswith("drop")
        self.house.discord.fail(method, ".", uploads=True, commit=commit, drop=drop, status=502)

    async def _moment(self, *, done: bool) -> None:
        if self.waiting_for == ("a clip is there" if done else "a clip comes in"):
            self.waiting_for = ""
            await self._blow()

    async def _blow(self) -> None:
        """Killed before the answer leaves."""
        targets = {
            "bot": [self.pid],
            "child": named(self.pid, "generation"),
            "ffmpeg": named(self.pid, "ffmpeg"),
            "all": [self.pid, *named(self.pid, "generation"), *named(self.pid, "ffmpeg")],
        }[self.victim]
        if targets:
            kill(targets)
            self.struck[self.victim] += 1
            if self.pid in targets:
                await self.house.ended(self.pid)

    # what goes on at the same time

    async def _keep_alive(self) -> None:
        while not self.over.is_set():
            life = self.house.life("discord", "telegram", real_engine=True, control=self.control)
            self.pid = await self.house.start(life)
            self.starts += 1
            await self.house.ended(self.pid)

    async def _ask(self) -> None:
        while self._made() < self.jobs:
            if self._left() < BACKLOG:
                await self._one_wish()
            else:
                await asyncio.sleep(0.05)  # until the backlog is shorter, which rings no bell

    async def _one_wish(self) -> None:
        self.asked += 1
        prompt = f"wish {self.asked:05} of somebody"
        video = self.draw.random() < VIDEOS
        if self.draw.random() < 0.5:
            line = f"/video {prompt} --silent" if video else f"/image {prompt}"
            await self.draw.choice(self.ada).writes(line)
            await self._until_heard()
        elif await self._discord_is_there():
            who = self.draw.choice(self.ana)
            options: dict[str, Any] = {"genre": "none"} if video else {}
            with suppress(ConnectionError, TimeoutError):  # the bot died just then: nobody was asked
                reply = await who.types("/video" if video else "/image", prompt=prompt, **options)
                self.replies.append((prompt, reply))
                await reply.message(within=2.0)

    async def _discord_is_there(self) -> bool:
        server = self.house.discord
        with suppress(TimeoutError):
            await server.world.until(lambda: server.gateway.live and server.world.commands, within=3.0)
        return bool(server.gateway.live and server.world.commands)

    async def _until_heard(self) -> None:
        """The update was fetched and confirmed: else a dead bot is sent hundreds of them at once."""
        with suppress(TimeoutError):
            await self.house.telegram.until(lambda: len(self.house.telegram.updates) < BACKLOG, within=2.0)

    async def _strike(self) -> None:
        """Evenly over the jobs, each at a moment that the seed chooses; one that found nobody is repeated."""
        while sum(self.struck.values()) < self.kills:
            due = sum(self.struck.values()) * self.jobs // self.kills
            await self._until(lambda: bool(self.pid) and self._made() - self._left() >= due)  # noqa: B023
            self.victim = self.draw.choices(list(VICTIMS), list(VICTIMS.values()))[0]
            moment = self.draw.choices(list(MOMENTS), list(MOMENTS.values()))[0]
            if moment == "now":
                if self.draw.random() < 0.8:  # and sometimes amid a start
                    await self._discord_is_there()
                await asyncio.sleep(self.draw.uniform(0.0, 0.7))
                await self._blow()
                continue
            self.waiting_for = moment
            with suppress(TimeoutError):
                await asyncio.wait_for(self._until(lambda: not self.waiting_for), 3.0)
            self.waiting_for = ""

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():  # noqa: ASYNC110  (a database in another process rings no bell)
            await asyncio.sleep(0.03)

    async def _settled(self) -> None:
        best, since = self._left(), time.monotonic()
        while (left := self._left()) or self.house.rows(OWED) != [(0,)]:
            if left < best:
                best, since = left, time.monotonic()
            if time.monotonic() - since > 4 * PATIENCE:
                raise TimeoutError(f"{left} jobs do not come to their end")
            await asyncio.sleep(0.1)

    def _made(self) -> int:
        return int((self.house.rows("SELECT count(*) FROM job") or [(0,)])[0][0])

    def _left(self) -> int:
        return int((self.house.rows(LEFT) or [(0,)])[0][0])

    def _promised(self) -> frozenset[str]:
        """Prompts of which a person was told a number."""
        told = [(prompt, reply.interaction.original) for prompt, reply in self.replies]
        numbered = {prompt for prompt, message in told if message and "#" in text_of(message)}
        heard = [m.text for m in self.house.telegram.world.messages if m.from_bot and "#" in m.text]
        words = {f"wish {text.partition('wish ')[2][:5]} of somebody" for text in heard if "wish " in text}
        return frozenset(numbered | words)


def report(chaos: Chaos, books: Books, seconds: float) -> str:
    figures: dict[str, float] = {
        **books.states,
        **{f"killed: {name}": count for name, count in sorted(chaos.struck.items())},
        **{f"failed: {name}": count for name, count in sorted(chaos.faults.items())},
        "starts": chaos.starts,
        "seconds": seconds,
        "set aside, killed again": books.aside,
        "doubtful and flagged": books.doubtful,
        **{name.replace("_", " "): len(found) for name, found in books.findings().items()},
    }
    lines = [f"{name:<28}{count:>7.0f}" for name, count in figures.items()]
    lines += [f"  {name}: {one}" for name, found in books.wrong().items() for one in found[:8]]
    return "\n".join(lines)


async def main(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of uploads that a kill cut off
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="matinee-chaos-"))
    async with theatre(folder) as house:
        draw = random.Random(arguments.seed)
        chaos = Chaos(house, arguments.kills, arguments.jobs, draw, control=arguments.control)
        books = await chaos.run(arguments.minutes * 60)
    say(f"seed {arguments.seed}{', control' if arguments.control else ''}: {folder}")
    say(report(chaos, books, time.monotonic() - began))
    say(json.dumps({"seed": arguments.seed, "control": arguments.control, "wrong": books.wrong()}))
    if arguments.control:
        return 0 if books.telegram_twice else 1
    return 1 if books.wrong() else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def reader() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--jobs", type=int, default=1000)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--minutes", type=float, default=20.0, help="it gives up after so many")
    made.add_argument("--control", action="store_true", help="send, then mark: this must show doubles")
    made.add_argument("--folder", help="where the data is kept; a new temporary folder otherwise")
    return made


if __name__ == "__main__":
    sys.exit(asyncio.run(main(reader().parse_args())))
