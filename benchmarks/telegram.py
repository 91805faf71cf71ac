"""500 people write at once: how soon does each hear back, from us and from the library on its defaults?

Every contender is a process of its own in front of the same loopback Bot API, which answers from a distance
of 50 ms, as Telegram does from Europe, and also from none, where only processor time counts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from telegram.ext import Application, CommandHandler, ContextTypes

from benchmarks.report import Report
from bot import messages
from bot.frontends.telegram.frontend import Options
from tests.fakes.telegram_methods import Call
from tests.fakes.telegram_people import Someone
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_studio import cinema

if TYPE_CHECKING:
    from telegram import Update

PEOPLE = 500
DISTANCES = (0.05, 0.0)
CONTENDERS = {
    "ours": "ours",
    "defaults": "python-telegram-bot, defaults",
    "concurrent": "python-telegram-bot, concurrent_updates",
}


async def serve_ours(url: str, token: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        async with cinema(Path(folder), Options(token=token, api=url)):
            await asyncio.Event().wait()


def serve_library(url: str, token: str, *, concurrent: bool) -> None:
    async def answer(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(messages.words("help.telegram"))

    builder = Application.builder().token(token).base_url(f"{url}/bot").base_file_url(f"{url}/file/bot")
    app = (builder.concurrent_updates(True) if concurrent else builder).build()
    app.add_handler(CommandHandler("help", answer))
    app.run_polling()


async def measure(contender: str, distance: float) -> dict[str, float]:
    async with TelegramServer() as server:
        told: dict[int, float] = {}

        async def witness(call: Call, done: bool, /) -> None:  # noqa: FBT001  (the shape of a Witness)
            if done and call.method == "sendMessage":
                told.setdefault(call.parameters["chat_id"], time.perf_counter())

        server.witness = witness
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.telegram", contender, server.url, server.token,
            env=os.environ | {"PYTHONPATH": "."},
        )  # fmt: skip
        try:
            first = Someone(server, "the first")
            await first.writes("/help")
            await first.hears("/video", within=60)
            server.distance = distance
            people = [Someone(server, f"person {number}") for number in range(PEOPLE)]
            begin = time.perf_counter()
            for person in people:
                await person.writes("/help")
            await server.until(lambda: len(told) == PEOPLE + 1, within=120)
        finally:
            process.terminate()
            await process.wait()
        waits = sorted(told[person.id] - begin for person in people)
    return {
        "replies_per_s": PEOPLE / waits[-1],
        "median_s": statistics.median(waits),
        "p99_s": waits[int(0.99 * (PEOPLE - 1))],
    }


async def main() -> None:
    os.environ["TELEGRAM_BOT_API_SPEC"] = "none"  # the server's own checks are not what is measured
    report = Report("500 people write at once: how soon does each hear back?")
    for distance in DISTANCES:
        at = f"{distance * 1000:.0f} ms"
        found = {name: await measure(name, distance) for name in CONTENDERS}
        report.figures[f"at {at}"] = {
            name: {key: round(value, 4) for key, value in figures.items()} for name, figures in found.items()
        }
        print(f"\nTelegram {at} away")
        rows = [
            [CONTENDERS[n], f"{f['replies_per_s']:.0f}", f"{f['median_s']:.2f}", f"{f['p99_s']:.2f}"]
            for n, f in found.items()
        ]
        report.table(["", "replies a second", "median wait, s", "p99 wait, s"], rows)
        if distance:
            ours, peer = found["ours"], found["defaults"]
            rate, wait = ours["replies_per_s"] / peer["replies_per_s"], peer["p99_s"] / ours["p99_s"]
            report.goal(f"replies a second, times the defaults, at {at}", rate, ">=", 3)
            report.goal(f"p99 wait, times sooner than the defaults, at {at}", wait, ">=", 3)
    report.finish()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        if sys.argv[1] == "ours":
            asyncio.run(serve_ours(*sys.argv[2:]))
        else:
            serve_library(sys.argv[2], sys.argv[3], concurrent=sys.argv[1] == "concurrent")
    else:
        asyncio.run(main())
