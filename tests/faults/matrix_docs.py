"""`python -m tests.faults.matrix_docs` runs every fault and writes the results into docs/reliability.md."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.engine_faults import ENGINE_FAULTS
from tests.faults.harness import bot_harness
from tests.faults.matrix import MATRIX, PLATFORMS, Fault, Outcome
from tests.faults.scenario import run_scenario
from tests.paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"
START_MARKER, END_MARKER = (
    "<!-- the fault matrix, written by `python -m tests.faults.matrix_docs` -->",
    "<!-- end of the matrix -->",
)
CONCURRENCY = 4
Case = tuple[Fault, str]


def cases() -> list[Case]:
    return [
        (fault, platform) for fault in MATRIX for platform in PLATFORMS if fault.expected_outcome(platform)
    ]


async def run_cases(chosen: Sequence[Case], folder: Path) -> dict[tuple[str, str], Outcome]:
    """Run several at once: most of the time is spent waiting."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def run_case(number: int, case: Case) -> tuple[tuple[str, str], Outcome]:
        fault, platform = case
        async with slots, bot_harness(folder / f"{number}-{platform}") as harness:
            return (fault.name, platform), await run_scenario(harness, platform, fault)

    return dict(await asyncio.gather(*(run_case(number, case) for number, case in enumerate(chosen))))


def expected_outcomes(chosen: Iterable[Case]) -> dict[tuple[str, str], Outcome | None]:
    return {(fault.name, platform): fault.expected_outcome(platform) for fault, platform in chosen}


def render_tables() -> str:
    header = ["| stage | fault | Discord | Telegram |", "|---|---|---|---|"]
    rows = [
        f"| {fault.stage} | {fault.description} | {fault.discord or '·'} | {fault.telegram or '·'} |"
        for fault in MATRIX
    ]
    engine = ["", "| what the engine process does | outcome of the job |", "|---|---|"]
    engine += [f"| {fault.description} | {fault.outcome} |" for fault in ENGINE_FAULTS]
    return "\n".join([*header, *rows, *engine])


def documented_tables() -> str:
    """The tables on the page now."""
    return PAGE.read_text("utf-8").partition(START_MARKER)[2].partition(END_MARKER)[0].strip()


def update_page() -> None:
    page = PAGE.read_text("utf-8")
    before, after = page.partition(START_MARKER)[0], page.partition(END_MARKER)[2]
    PAGE.write_text(f"{before}{START_MARKER}\n\n{render_tables()}\n\n{END_MARKER}{after}", "utf-8")


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found, expected = await run_cases(cases(), Path(folder)), expected_outcomes(cases())
    wrong = {case: outcome for case, outcome in found.items() if outcome is not expected[case]}
    for (name, platform), outcome in wrong.items():
        sys.stdout.write(f"{name} on {platform}: {outcome}\n")
    if not wrong:
        update_page()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
