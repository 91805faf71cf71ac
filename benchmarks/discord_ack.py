"""How fast are interactions acknowledged while an engine uses every core? Matinee against a naive bot."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

from benchmarks.report import Report
from tests.fakes.discord_server import DiscordServer, discord_server, save_authority
from tests.fakes.discord_users import Reply, person

BUSY_LOOP = "import os\nos.nice(10)\nwhile True: sum(range(100_000))"
BURST_COUNT, STEADY_COUNT, PER_SECOND = 500, 150, 25
NAIVE_COUNT, NAIVE_RENDER_SECONDS = 40, 1.0
"""The naive bot renders for one second; a real clip takes longer and would make it look worse."""


def _process(*arguments: str) -> Popen[bytes]:
    return Popen([sys.executable, *arguments], stdout=DEVNULL, stderr=DEVNULL)  # noqa: S603  (our own code)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy at the priority of the engine process."""
    processes = [_process("-c", BUSY_LOOP) for _ in range(os.cpu_count() or 2)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@asynccontextmanager
async def bot(server: DiscordServer, *command: str) -> AsyncIterator[None]:
    process = _process("-m", *command)
    try:
        await server.world.wait_until(
            lambda: server.gateway.connected_sessions and server.world.commands, within=90
        )
        yield
    finally:
        process.kill()
        process.wait()


async def measure_acks(server: DiscordServer, count: int, *, per_second: float | None) -> list[float]:
    """Seconds from each interaction to its acknowledgement."""
    channel = next(c for guild in server.world.guilds.values() for c in guild.channels)
    people = [person(server, f"Person{n}", channel) for n in range(count)]
    start = time.monotonic()
    replies: list[Reply] = []
    for number, author in enumerate(people):
        if per_second:
            await asyncio.sleep(max(0.0, start + number / per_second - time.monotonic()))
        replies.append(await author.types("/video", prompt=f"clip {number}"))
    await server.world.wait_until(lambda: all(r.interaction.ack_type is not None for r in replies), within=90)
    return sorted(reply.interaction.ack_delay for reply in replies)


def percentile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


async def ours(folder: Path) -> tuple[list[float], list[float]]:
    async with discord_server(ack_deadline=60.0) as server:
        server.world.guild().channel("general")
        facts = (str(server.port), str(save_authority(server, folder)), server.token, str(folder / "data"))
        async with bot(server, "tests.fakes.discord_app", *facts, "--pause", "0.5"):
            await measure_acks(server, 20, per_second=PER_SECOND)  # the first ones open the connections
            steady = await measure_acks(server, STEADY_COUNT, per_second=PER_SECOND)
            return steady, await measure_acks(server, BURST_COUNT, per_second=None)


async def naive(folder: Path) -> list[float]:
    async with discord_server(ack_deadline=60.0) as server:
        server.world.guild().channel("general")
        facts = (str(server.port), str(save_authority(server, folder)), server.token)
        async with bot(server, "benchmarks.discord_ack", "--naive", *facts):
            return await measure_acks(server, NAIVE_COUNT, per_second=PER_SECOND)


async def naive_bot(port: int, authority: str, token: str) -> None:
    """A naive bot: defer, then render in the event loop."""
    import discord  # noqa: PLC0415  (only the naive bot's process needs it)
    from discord import app_commands  # noqa: PLC0415

    from tests.fakes.discord_connector import connector  # noqa: PLC0415

    client = discord.Client(intents=discord.Intents(guilds=True), connector=connector(port, authority))
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(client)

    async def video(interaction: Any, prompt: str) -> None:
        await interaction.response.defer()
        end = time.monotonic() + NAIVE_RENDER_SECONDS
        while time.monotonic() < end:
            sum(range(100_000))
        await interaction.edit_original_response(content=prompt)

    tree.add_command(app_commands.Command(name="video", description="Make a clip", callback=video))

    async def sync() -> None:
        await tree.sync()

    client.setup_hook = sync  # type: ignore[method-assign]  # simpler than a subclass
    await client.start(token)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--naive", nargs=3, metavar=("PORT", "AUTHORITY", "TOKEN"))
    arguments = parser.parse_args()
    if arguments.naive:
        port, authority, token = arguments.naive
        asyncio.run(naive_bot(int(port), Path(authority).read_text(encoding="utf-8"), token))
        return
    report = Report("How fast are interactions acknowledged while an engine uses every core?")
    with tempfile.TemporaryDirectory() as folder, busy_cores():
        steady, burst = asyncio.run(ours(Path(folder)))
        naive_delays = asyncio.run(naive(Path(folder)))
    rows = [
        (name, len(values), *(f"{1000 * percentile(values, share):.1f}" for share in (0.5, 0.99, 1.0)))
        for name, values in (
            (f"ours, {PER_SECOND} a second", steady),
            (f"ours, {BURST_COUNT} at once", burst),
            (f"renders in its process, {PER_SECOND} a second", naive_delays),
        )
    ]
    report.table(("bot", "interactions", "p50 ms", "p99 ms", "slowest ms"), rows)
    report.figures = {
        "steady_p99_s": percentile(steady, 0.99),
        "burst_slowest_s": burst[-1],
        "naive_p99_s": percentile(naive_delays, 0.99),
        "load": os.getloadavg()[0],
    }
    report.goal(f"slowest of {BURST_COUNT} at once, seconds", burst[-1], "<=", 1.5)
    report.goal(f"p99 at {PER_SECOND} a second, seconds", percentile(steady, 0.99), "<=", 0.05)
    report.goal(
        "times faster than rendering in process",
        percentile(naive_delays, 0.99) / percentile(steady, 0.99),
        ">=",
        200,
    )
    report.finish()


if __name__ == "__main__":
    main()
