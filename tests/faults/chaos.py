"""`python -m tests.faults.chaos --kills 200 --jobs 1000 --seed 1` kills the whole bot at random.

The bot serves both fake chat servers. Like real ones, they may accept a clip and then answer with an error or
not at all. At the end no clip may be lost or duplicated. `--control` runs a bot that treats Telegram as if it
deduplicated sends: it must produce duplicates, which shows that the harness detects them.
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
from functools import partial
from pathlib import Path
from typing import Any

from tests.fakes.discord_users import Person, Reply, person, text_of
from tests.fakes.telegram_faults import api_error, connection_reset, html_error
from tests.fakes.telegram_users import TelegramUser
from tests.faults.consistency import ConsistencyReport, check_consistency, resend_buttons
from tests.faults.harness import BotHarness, bot_harness, descendants_with, kill

KILL_TARGETS = {"bot": 30, "child": 30, "ffmpeg": 25, "all": 15}
KILL_MOMENTS = {"now": 50, "before upload": 25, "after upload": 25}
VIDEO_SHARE = 0.1
"""The rest are pictures, which need no ffmpeg and little time."""
MAX_BACKLOG = 24
FAULT_RATE = 0.08
"""Share of the calls with a clip for which the fake server simulates an error."""
STALL_SECONDS = 45.0
"""Seconds without any job reaching a final state, after which the run counts as stuck."""
UPLOAD_METHODS = {"sendVideo", "sendPhoto", "editMessageMedia"}
UNFINISHED_SQL = (
    "SELECT count(*) FROM job WHERE state NOT IN ('delivered', 'uncertain', 'failed', 'cancelled')"
)
UNSENT_STATUS_SQL = "SELECT count(*) FROM unsaid"


@dataclass
class Chaos:
    harness: BotHarness
    kills: int
    jobs: int
    rng: random.Random
    control: bool = False
    pid: int = 0
    kills_done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    next_kill_moment: str = ""  # the moment of an upload at which to kill next
    kill_target: str = ""
    submitted: int = 0
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    starts: int = 0

    async def run(self, within: float) -> ConsistencyReport:
        """Run until every job is final; raises TimeoutError after `within` seconds."""
        self._create_users()
        self._install_call_hooks()
        parts = [self._restart_forever(), self._submit_all(), self._kill_repeatedly()]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*tasks[1:])
                self.harness.discord.faults.clear()
                await self._wait_until_all_final()
            self.finished.set()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            async with asyncio.timeout(STALL_SECONDS):
                await self.harness.wait_for_exit(self.pid)
        finally:
            self.finished.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return check_consistency(self.harness, self._confirmed_prompts())

    def _create_users(self) -> None:
        telegram, discord = self.harness.telegram, self.harness.discord
        telegram.world.private_flood_limit = (1000, 0.01)
        channel = discord.world.guild().channel("general")
        self.discord_users: list[Person] = [person(discord, f"Ana{n}", channel) for n in range(12)]
        self.telegram_users: list[TelegramUser] = [TelegramUser(telegram, f"Ada{n}") for n in range(40)]

    def _install_call_hooks(self) -> None:
        async def on_telegram_call(call: object, done: bool, /) -> None:  # noqa: FBT001  (the signature of an observer)
            method = getattr(call, "method", "")
            if method == "sendMessage" and done:
                self._delete_status_message()
            if method in UPLOAD_METHODS:
                await self._kill_if_due(done=done)
                if not done and self.rng.random() < FAULT_RATE:
                    self._fail_telegram(method)

        async def on_discord_call(call: object, done: bool, /) -> None:  # noqa: FBT001  (the signature of an observer)
            if getattr(call, "files", None):
                if not done and self.rng.random() < FAULT_RATE:
                    self._fail_discord(str(getattr(call, "method", "")))
                await self._kill_if_due(done=done)

        self.harness.telegram.observe_call, self.harness.discord.observe_call = (
            on_telegram_call,
            on_discord_call,
        )

    def _delete_status_message(self) -> None:
        """Delete most status messages, as users may: such clips arrive as new messages."""
        messages = [message for message in self.harness.telegram.world.messages if message.from_bot]
        if not resend_buttons(messages[-1]) and self.rng.random() < 0.6:
            messages[-1].deleted = True

    def _fail_telegram(self, method: str) -> None:
        faults = {
            "502, done": html_error(502, performed=True),
            "reset, done": connection_reset(performed=True),
            "reset": connection_reset(performed=False),
            "500": api_error(500, "Internal Server Error"),
        }
        name = self.rng.choice(sorted(faults))
        self.faults[f"telegram {name}"] += 1
        self.harness.telegram.fail_next(method, faults[name])

    def _fail_discord(self, method: str) -> None:
        name = self.rng.choice(["502, done", "drop, done", "drop", "502"])
        self.faults[f"discord {name}"] += 1
        commit, drop = name.endswith("done"), name.startswith("drop")
        self.harness.discord.add_fault(method, ".", uploads=True, commit=commit, drop=drop, status=502)

    async def _kill_if_due(self, *, done: bool) -> None:
        if self.next_kill_moment == ("after upload" if done else "before upload"):
            self.next_kill_moment = ""
            await self._kill_now()

    async def _kill_now(self) -> None:
        """Kill the chosen processes; the server has not answered yet."""
        targets = {
            "bot": [self.pid],
            "child": descendants_with(self.pid, "generation"),
            "ffmpeg": descendants_with(self.pid, "ffmpeg"),
            "all": [
                self.pid,
                *descendants_with(self.pid, "generation"),
                *descendants_with(self.pid, "ffmpeg"),
            ],
        }[self.kill_target]
        if targets:
            kill(targets)
            self.kills_done[self.kill_target] += 1
            if self.pid in targets:
                await self.harness.wait_for_exit(self.pid)

    async def _restart_forever(self) -> None:
        while not self.finished.is_set():
            bot_run = self.harness.bot_run("discord", "telegram", real_engine=True, control=self.control)
            self.pid = await self.harness.start(bot_run)
            self.starts += 1
            await self.harness.wait_for_exit(self.pid)

    async def _submit_all(self) -> None:
        while self._job_count() < self.jobs:
            if self._unfinished_count() < MAX_BACKLOG:
                await self._submit_one()
            else:
                await asyncio.sleep(0.05)

    async def _submit_one(self) -> None:
        self.submitted += 1
        prompt = f"wish {self.submitted:05} of somebody"
        video = self.rng.random() < VIDEO_SHARE
        if self.rng.random() < 0.5:
            line = f"/video {prompt} --silent" if video else f"/image {prompt}"
            await self.rng.choice(self.telegram_users).writes(line)
            await self._wait_for_update_fetch()
        elif await self._discord_connected():
            user = self.rng.choice(self.discord_users)
            options: dict[str, Any] = {"genre": "none"} if video else {}
            with suppress(ConnectionError, TimeoutError):  # the bot was killed before it got the command
                reply = await user.types("/video" if video else "/image", prompt=prompt, **options)
                self.replies.append((prompt, reply))
                await reply.message(within=2.0)

    async def _discord_connected(self) -> bool:
        server = self.harness.discord
        with suppress(TimeoutError):
            await server.world.wait_until(
                lambda: server.gateway.connected_sessions and server.world.commands, within=3.0
            )
        return bool(server.gateway.connected_sessions and server.world.commands)

    async def _wait_for_update_fetch(self) -> None:
        """Wait until the update was fetched, so that no long backlog builds up while the bot is down."""
        with suppress(TimeoutError):
            await self.harness.telegram.wait_until(
                lambda: len(self.harness.telegram.updates) < MAX_BACKLOG, within=2.0
            )

    def _has_finished(self, count: int) -> bool:
        return bool(self.pid) and self._job_count() - self._unfinished_count() >= count

    async def _kill_repeatedly(self) -> None:
        """Spread the kills over the jobs, at random moments; a kill that found no process is repeated."""
        while sum(self.kills_done.values()) < self.kills:
            due = sum(self.kills_done.values()) * self.jobs // self.kills
            await self._wait_until(partial(self._has_finished, due))
            self.kill_target = self.rng.choices(list(KILL_TARGETS), list(KILL_TARGETS.values()))[0]
            moment = self.rng.choices(list(KILL_MOMENTS), list(KILL_MOMENTS.values()))[0]
            if moment == "now":
                if self.rng.random() < 0.8:  # otherwise perhaps during a start
                    await self._discord_connected()
                await asyncio.sleep(self.rng.uniform(0.0, 0.7))
                await self._kill_now()
                continue
            self.next_kill_moment = moment
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wait_until(lambda: not self.next_kill_moment), 3.0)
            self.next_kill_moment = ""

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110  (a database in another process cannot be awaited)
            await asyncio.sleep(0.03)

    async def _wait_until_all_final(self) -> None:
        fewest, since = self._unfinished_count(), time.monotonic()
        while (unfinished := self._unfinished_count()) or self.harness.rows(UNSENT_STATUS_SQL) != [(0,)]:
            if unfinished < fewest:
                fewest, since = unfinished, time.monotonic()
            if time.monotonic() - since > 4 * STALL_SECONDS:
                raise TimeoutError(f"{unfinished} jobs do not reach a final state")
            await asyncio.sleep(0.1)

    def _job_count(self) -> int:
        return int((self.harness.rows("SELECT count(*) FROM job") or [(0,)])[0][0])

    def _unfinished_count(self) -> int:
        return int((self.harness.rows(UNFINISHED_SQL) or [(0,)])[0][0])

    def _confirmed_prompts(self) -> frozenset[str]:
        """The prompts for which a user received a job number."""
        replies = [(prompt, reply.interaction.original) for prompt, reply in self.replies]
        on_discord = {prompt for prompt, message in replies if message and "#" in text_of(message)}
        texts = [m.text for m in self.harness.telegram.world.messages if m.from_bot and "#" in m.text]
        on_telegram = {
            f"wish {text.partition('wish ')[2][:5]} of somebody" for text in texts if "wish " in text
        }
        return frozenset(on_discord | on_telegram)


def format_report(chaos: Chaos, consistency: ConsistencyReport, seconds: float) -> str:
    figures: dict[str, float] = {
        **consistency.states,
        **{f"killed: {name}": count for name, count in sorted(chaos.kills_done.items())},
        **{f"failed: {name}": count for name, count in sorted(chaos.faults.items())},
        "starts": chaos.starts,
        "seconds": seconds,
        "set aside": consistency.set_aside,
        "perhaps sent": consistency.maybe_sent,
        **{name.replace("_", " "): len(found) for name, found in consistency.findings().items()},
    }
    lines = [f"{name:<28}{count:>7.0f}" for name, count in figures.items()]
    lines += [f"  {name}: {text}" for name, found in consistency.problems().items() for text in found[:8]]
    return "\n".join(lines)


async def main(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it logs uploads that a kill interrupted
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="matinee-chaos-"))
    async with bot_harness(folder) as harness:
        rng = random.Random(arguments.seed)
        chaos = Chaos(harness, arguments.kills, arguments.jobs, rng, control=arguments.control)
        consistency = await chaos.run(arguments.minutes * 60)
    write_line(f"seed {arguments.seed}{', control' if arguments.control else ''}: {folder}")
    write_line(format_report(chaos, consistency, time.monotonic() - began))
    write_line(
        json.dumps({"seed": arguments.seed, "control": arguments.control, "problems": consistency.problems()})
    )
    if arguments.control:
        return 0 if consistency.duplicates_on_telegram else 1
    return 1 if consistency.problems() else 0


def write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="it gives up after so many")
    parser.add_argument("--control", action="store_true", help="send, then mark: this must show doubles")
    parser.add_argument("--folder", help="where the data is kept; a new temporary folder otherwise")
    return parser


if __name__ == "__main__":
    sys.exit(asyncio.run(main(argument_parser().parse_args())))
