"""Output for an interactive terminal: progress bars and tables."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import Progress as Bars
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table
from rich.text import Text

from bot.cli.output import Output
from bot.i18n import messages
from generation.progress import Progress


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


class ProgressBars(Output):
    """One progress bar per stage, with its rate and the remaining time."""

    def __init__(self) -> None:
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=28, complete_style="magenta", finished_style="green"),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeLeft(compact=True, elapsed_when_finished=True),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def print_note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def show_progress(self, progress: Progress) -> None:
        task = self._tasks.get(progress.stage)
        if task is None:
            stage = messages.translate(f"stage.{progress.stage}")
            task = self._tasks[progress.stage] = self._bars.add_task(stage, total=None)
        self._bars.update(task, completed=progress.done, total=progress.total or None)

    def close(self) -> None:
        self._bars.stop()


def show_table(title: str, header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(header):
        longest = max(len(row[column]) for row in rows)
        # The first column is what users type, so it is never cut.
        table.add_column(name, overflow="fold", min_width=min(longest, 28) if column == 0 else None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
