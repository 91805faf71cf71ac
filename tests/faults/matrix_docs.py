"""`python -m tests.faults.matrix_docs` runs every fault and writes the results into docs/reliability.md."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.engine_faults import ENGINE
from tests.faults.harness import theatre
from tests.faults.matrix import BOTH, MATRIX, Fault, Outcome
from tests.faults.scenario import play
from tests.paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"
START, END = (
    "<!-- the fault matrix, written by `python -m tests.faults.matrix_docs` -->",
    "<!-- end of the matrix -->",
)
AT_ONCE = 4
Case = tuple[Fault, str]


def cases() -> list[Case]:
    return [(fault, platform) for fault in MATRIX for platform in BOTH if fault.outcome(platform)]


async def observed(chosen: Sequence[Case], folder: Path) -> dict[tuple[str, str], Outcome]:
    """Several at once: most of the time is spent waiting for somebody to be killed."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, case: Case) -> tuple[tuple[str, str], Outcome]:
        fault, platform = case
        async with turns, theatre(folder / f"{number}-{platform}") as house:
            return (fault.name, platform), await play(house, platform, fault)

    return dict(await asyncio.gather(*(one(number, case) for number, case in enumerate(chosen))))


def expected(chosen: Iterable[Case]) -> dict[tuple[str, str], Outcome | None]:
    return {(fault.name, platform): fault.outcome(platform) for fault, platform in chosen}


def matrix() -> str:
    head = ["| stage | fault | Discord | Telegram |", "|---|---|---|---|"]
    rows = [
        f"| {fault.stage} | {fault.what} | {fault.discord or '·'} | {fault.telegram or '·'} |"
        for fault in MATRIX
    ]
    engine = ["", "| what the engine's process does | what becomes of the job |", "|---|---|"]
    engine += [f"| {fault.what} | {fault.becomes} |" for fault in ENGINE]
    return "\n".join([*head, *rows, *engine])


def written() -> str:
    """The matrix as the page has it."""
    return PAGE.read_text("utf-8").partition(START)[2].partition(END)[0].strip()


def write() -> None:
    page = PAGE.read_text("utf-8")
    before, after = page.partition(START)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{START}\n\n{matrix()}\n\n{END}{after}", "utf-8")


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found, wanted = await observed(cases(), Path(folder)), expected(cases())
    wrong = {case: outcome for case, outcome in found.items() if outcome is not wanted[case]}
    for (name, platform), outcome in wrong.items():
        sys.stdout.write(f"{name} on {platform}: {outcome}\n")
    if not wrong:
        write()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
