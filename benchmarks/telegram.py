"""500 users write at once: how fast is each answered, by Matinee and by python-telegram-bot's defaults?

Every contender runs in its own process against the same fake Bot API, once with a latency of 50 ms, as
Telegram has from Europe, and once without, where only processing counts. The API sends prepared answers over
plain sockets, so that it costs little itself.
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

import psutil
import structlog
from telegram.ext import Application, CommandHandler, ContextTypes

from benchmarks.fake_bot_api import TOKEN, fake_bot_api
from benchmarks.report import Report
from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from bot.runtime import event_loop
from tests.fakes.telegram_app import running_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from telegram import Update

USERS = 500
ROUNDS_BY_LATENCY = {0.05: 1, 0.0: 3}
"""How often each contender is measured at each latency; the median is reported."""
WARMUP_USER = 999
COLUMN_DIGITS = {"replies_per_s": 0, "median_s": 3, "p99_s": 3, "cpu_ms": 2}
CONTENDERS = {
    "ours": "ours",
    "defaults": "python-telegram-bot, defaults",
    "concurrent": "python-telegram-bot, concurrent_updates",
}


async def serve_ours(url: str, token: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        async with running_app(Path(folder), Options(token=token, api_url=url)):
            await asyncio.Event().wait()


def serve_library(url: str, token: str, *, concurrent: bool) -> None:
    async def answer(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(messages.translate("help.telegram"))

    builder = Application.builder().token(token).base_url(f"{url}/bot").base_file_url(f"{url}/file/bot")
    app = (builder.concurrent_updates(True) if concurrent else builder).build()
    app.add_handler(CommandHandler("help", answer))
    app.run_polling()


async def measure(contender: str, latency: float) -> dict[str, float]:
    async with fake_bot_api(latency) as (api, url):
        environment = os.environ | {"PYTHONPATH": "."}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.telegram",
            contender,
            url,
            TOKEN,
            env=environment,
        )
        try:
            api.write(WARMUP_USER, "/help")
            await _until(lambda: WARMUP_USER in api.answered_at)
            await asyncio.sleep(1)  # let start-up work finish
            user_ids = range(1000, 1000 + USERS)
            spent, begin = _processor_time(process.pid), time.perf_counter()
            for user in user_ids:
                api.write(user, "/help")
            await _until(lambda: len(api.answered_at) == USERS + 1)
            spent = _processor_time(process.pid) - spent
        finally:
            process.terminate()
            await process.wait()
        waits = sorted(api.answered_at[user] - begin for user in user_ids)
    return {
        "replies_per_s": USERS / waits[-1],
        "median_s": statistics.median(waits),
        "p99_s": waits[int(0.99 * (USERS - 1))],
        "cpu_ms": 1000 * spent / USERS,
    }


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  (twenty checks per second cost little)
            await asyncio.sleep(0.05)


def _processor_time(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def median_of_rounds(contender: str, latency: float) -> dict[str, float]:
    found = [await measure(contender, latency) for _ in range(ROUNDS_BY_LATENCY[latency])]
    return {key: statistics.median(figures[key] for figures in found) for key in found[0]}


async def main() -> None:
    report = Report("500 users write at once: how fast is each answered?")
    for latency in ROUNDS_BY_LATENCY:
        at = f"{latency * 1000:.0f} ms"
        found = {name: await median_of_rounds(name, latency) for name in CONTENDERS}
        report.figures[f"at {at}"] = {
            name: {key: round(value, 4) for key, value in figures.items()} for name, figures in found.items()
        }
        print(f"\nTelegram with a latency of {at}")
        rows = [
            [CONTENDERS[n], *(f"{f[key]:.{digits}f}" for key, digits in COLUMN_DIGITS.items())]
            for n, f in found.items()
        ]
        report.table(["", "replies per second", "median wait, s", "p99 wait, s", "CPU, ms per reply"], rows)
        ours, peer = found["ours"], found["defaults"]
        rate, wait = ours["replies_per_s"] / peer["replies_per_s"], peer["p99_s"] / ours["p99_s"]
        report.goal(f"replies per second, times the defaults, at {at}", rate, ">=", 3)
        report.goal(f"p99 wait, times shorter than the defaults, at {at}", wait, ">=", 3)
    report.finish()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        if sys.argv[1] == "ours":
            event_loop.run(serve_ours(*sys.argv[2:]))
        else:
            serve_library(sys.argv[2], sys.argv[3], concurrent=sys.argv[1] == "concurrent")
    else:
        asyncio.run(main())
