"""Does the GPU ever wait? N clips on a simulated GPU, overlapped with other work, against one by one."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import tomllib
from pathlib import Path

from benchmarks.report import Report
from bot.runtime import event_loop
from generation import Music
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup
from generation.order import Order
from tests.factories import make_order, make_preset

CONFIG = Path(__file__).parents[1] / "config"


def numbered_order(number: int, folder: Path, seconds: float) -> Order:
    preset = make_preset("simulated", family="waiting", options={"seconds": seconds})
    return make_order(
        folder / str(number),
        label=str(number),
        preset=preset,
        prompt=f"clip {number}",
        width=704,
        height=480,
        frames=96,
        seed=number,
        steps=30,
        music=Music(genre="lofi", maker="band", bpm=80, seed=number),
    )


async def measure_run(jobs: int, slots: int, seconds: float, folder: Path) -> float:
    """Wall seconds for the jobs on a warm engine with `slots` orders in flight."""
    genres = tomllib.loads((CONFIG / "genres.toml").read_text(encoding="utf-8"))
    setup = EngineSetup(plugins=("benchmarks.simulated_gpu",), maker_options={"band": {"genres": genres}})
    engine = LocalEngine(setup, slots=slots)
    await engine.render(numbered_order(0, folder, 0.1), lambda _: None)
    numbers = iter(range(1, jobs + 1))

    async def slot() -> None:
        for number in numbers:
            await engine.render(numbered_order(number, folder, seconds), lambda _: None)

    start = time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(engine.slots)))
    took = time.perf_counter() - start
    await engine.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the simulated GPU per clip")
    arguments = parser.parse_args()
    gpu_seconds = arguments.jobs * arguments.seconds
    report = Report("How much longer than the GPU's own time do N clips take?")
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            name: event_loop.run(measure_run(arguments.jobs, slots, arguments.seconds, Path(folder) / name))
            for name, slots in (("overlapped", 2), ("one by one", 1))
        }
    report.table(
        ("way", "seconds", "of the GPU's own"),
        [(name, f"{took:.1f}", f"{took / gpu_seconds:.3f}") for name, took in ways.items()],
    )
    report.figures = {"jobs": arguments.jobs, "gpu_seconds": gpu_seconds, **ways}
    report.goal("overlapped / GPU's own time", ways["overlapped"] / gpu_seconds, "<=", 1.15)
    report.finish()


if __name__ == "__main__":
    main()
