"""How fast are interactions acknowledged while the bot opens hostile files?

`python -m benchmarks.ack --hostile 20` keeps twenty hostile files on their way to being refused; each is from
another user. `--busy` also keeps every core busy at the priority of the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.discord_ack import bot, busy_cores, measure_acks, percentile
from benchmarks.report import Report
from tests.fakes import hostile_files
from tests.fakes.discord_server import DiscordServer, discord_server, save_authority
from tests.fakes.discord_users import person, text_of

COUNT, PER_SECOND = 300, 25


@dataclass
class Refusals:
    """The sentences that the senders got."""

    sentences: list[str] = field(default_factory=list)


async def keep_sending(
    server: DiscordServer, files: list[tuple[str, str, bytes]], refusals: Refusals
) -> None:
    """Send the next file once the one before was answered, always from another user."""
    channel = next(c for guild in server.world.guilds.values() for c in guild.channels)
    for number in itertools.count():
        command, option, data = files[number % len(files)]
        author = person(server, f"Stranger{id(refusals)}-{asyncio.current_task()}-{number}", channel)
        options: dict[str, Any] = {option: author.attach("a.png" if option == "image" else "a.flac", data)}
        reply = await author.types(command, prompt="a fox", model="able", **options)
        message = await reply.message(within=90)
        refusals.sentences.append(text_of(message).splitlines()[0])


@asynccontextmanager
async def hostile_senders(server: DiscordServer, count: int) -> AsyncIterator[Refusals]:
    pictures = [("/animate", "image", data) for data in hostile_files.PICTURES.values()]
    sounds = [("/video", "track", data) for data in hostile_files.SOUNDS.values()]
    files, refusals = pictures + sounds, Refusals()
    tasks = [
        asyncio.create_task(
            keep_sending(server, files[at % len(files) :] + files[: at % len(files)], refusals)
        )
        for at in range(count)
    ]
    try:
        yield refusals
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(folder: Path, count: int) -> tuple[list[float], list[str]]:
    """Delays of a bot while `count` hostile files are being opened, and what their senders got."""
    async with discord_server(ack_deadline=60.0) as server:
        server.world.guild().channel("general")
        facts = (str(server.port), str(save_authority(server, folder)), server.token, str(folder / "data"))
        async with bot(server, "tests.fakes.discord_app", *facts, "--pause", "0.5"):
            await measure_acks(server, 20, per_second=PER_SECOND)  # the first ones open the connections
            async with hostile_senders(server, count) as refusals:
                return await measure_acks(server, COUNT, per_second=PER_SECOND), refusals.sentences


def measure_in_new_folder(count: int) -> tuple[list[float], list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder), count))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hostile", type=int, default=20, help="files that are being opened at any moment")
    parser.add_argument("--busy", action="store_true", help="keep every core busy at the engine's priority")
    arguments = parser.parse_args()
    report = Report("How fast are interactions acknowledged while the bot opens hostile files?")
    with busy_cores() if arguments.busy else nullcontext():
        alone, _ = measure_in_new_folder(0)
        meanwhile, sentences = measure_in_new_folder(arguments.hostile)
    rows = [
        (name, len(values), *(f"{1000 * percentile(values, share):.1f}" for share in (0.5, 0.99, 1.0)))
        for name, values in (
            ("no files", alone),
            (f"{arguments.hostile} hostile files at any moment", meanwhile),
        )
    ]
    report.table(("meanwhile", "interactions", "p50 ms", "p99 ms", "slowest ms"), rows)
    print(f"\n{len(sentences)} hostile files were answered in this time:")
    for sentence, count in Counter(sentences).most_common():
        print(f"{count:5}  {sentence}")
    report.figures = {
        "alone_p99_s": percentile(alone, 0.99),
        "hostile_p50_s": percentile(meanwhile, 0.5),
        "hostile_p99_s": percentile(meanwhile, 0.99),
        "files": len(sentences),
        "load": os.getloadavg()[0],
    }
    report.goal(
        f"p99 with {arguments.hostile} hostile files, seconds", percentile(meanwhile, 0.99), "<=", 0.05
    )
    report.finish()


if __name__ == "__main__":
    main()
