"""The terminal as a frontend: shows the progress of one job and writes the clip to its path."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.cli.descriptor import FRONTEND
from bot.cli.output import Output
from bot.domain.errors import OutputUnusable
from bot.domain.jobs import Job, JobState, ReplyTo
from bot.i18n import messages
from bot.pipeline.delivery import OutgoingClip, Rejected
from generation.media.files import rename_durably
from generation.progress import Progress


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """The paths to write. Call `check` before any work is done."""

    clip: Path
    sheet: Path | None = None
    recipe: bool | None = None  # None leaves it to the user's preference

    @classmethod
    def from_reply(cls, reply_to: ReplyTo) -> OutputTarget:
        sheet = reply_to.facts.get("sheet")
        return cls(Path(reply_to.chat), Path(sheet) if sheet else None)

    def to_reply(self, limit: int) -> ReplyTo:
        facts: dict[str, Any] = {"sheet": str(self.sheet.absolute())} if self.sheet else {}
        if self.recipe is not None:
            facts["recipe"] = self.recipe
        return ReplyTo(platform=FRONTEND.name, chat=str(self.clip.absolute()), limit=limit, facts=facts)

    @property
    def part_path(self) -> Path:
        return self.clip.with_name(f".{self.clip.name}.part")

    def check(self) -> None:
        folder = self.clip.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputUnusable(str(folder), error.strerror or "unknown reason") from None
        if self.clip.is_dir():
            raise OutputUnusable(str(self.clip), "it is a folder")
        if self.clip.suffix.lower() != ".mp4":
            raise OutputUnusable(str(self.clip), "a clip is an MP4, so its name ends in .mp4")
        try:
            self.part_path.touch()
            self.part_path.unlink()
        except OSError as error:
            raise OutputUnusable(str(self.clip), error.strerror or "unknown reason") from None


@dataclass
class Terminal:
    """Waits for one job, `job`; `finished` is set once it has ended."""

    output: Output
    name: str = FRONTEND.name
    deduplicates: bool = FRONTEND.deduplicates_sends
    job: int | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await self.finished.wait()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        if progress is not None:
            self.output.show_progress(progress)
        if job.state.is_final or (job.state is JobState.HELD and progress is None):
            self.output.print_note(text)
            if reason := messages.operator_detail(job.error):
                self.output.print_note(f"({reason})")
            self._finish(job)

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        """Write the clip to the path in its job, which may be another terminal's that ended early."""
        target = OutputTarget.from_reply(outgoing.job.reply_to)
        try:
            await asyncio.to_thread(_copy_atomically, outgoing.clip.path, target.clip)
            if target.sheet and outgoing.job.clip and outgoing.job.clip.sheet:
                await asyncio.to_thread(_copy_atomically, outgoing.job.clip.sheet, target.sheet)
        except OSError as error:
            raise Rejected(f"{error.filename}: {error.strerror}") from error
        if outgoing.spoiler:
            self.output.print_note(
                messages.translate("spoilered", outgoing.job.requester.language, job=outgoing.job.id)
            )
        return str(target.clip)

    async def after_delivery(self, job: Job) -> None:
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if job.id == self.job:
            self.finished.set()


def _copy_atomically(source: Path, target: Path) -> None:
    """Copy the file so that `target` is never incomplete."""
    part = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        rename_durably(part, target)
    finally:
        part.unlink(missing_ok=True)


class LineOutput(Output):
    """For a log or a pipe: one line per stage."""

    def __init__(self) -> None:
        self._seen_stages: set[str] = set()

    def print_note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def show_progress(self, progress: Progress) -> None:
        if progress.stage not in self._seen_stages:
            self._seen_stages.add(progress.stage)
            self.print_note(f"{messages.translate(f'stage.{progress.stage}')} ...")


def choose_output(*, quiet: bool) -> Output:
    if quiet:
        return Output()
    if not sys.stderr.isatty():
        return LineOutput()
    from bot.cli.progress_bars import ProgressBars  # noqa: PLC0415  (importing rich is slow)

    return ProgressBars()
