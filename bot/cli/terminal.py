"""The terminal as a frontend: shows how far the clip is and puts it where it was asked for."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.errors import OutputUnusable
from bot.domain.jobs import Job, ReplyTo, State
from bot.i18n import messages
from bot.pipeline.delivery import Parcel, Rejected
from generation.media.files import settle
from generation.progress import Progress


@dataclass(frozen=True, slots=True)
class Target:
    """Where the clip goes. Checked before any work is done."""

    clip: Path
    sheet: Path | None = None
    recipe: bool | None = None  # None leaves it to the person's setting

    @classmethod
    def from_reply(cls, reply_to: ReplyTo) -> Target:
        sheet = reply_to.facts.get("sheet")
        return cls(Path(reply_to.chat), Path(sheet) if sheet else None)

    def reply(self, limit: int) -> ReplyTo:
        facts: dict[str, Any] = {"sheet": str(self.sheet.absolute())} if self.sheet else {}
        if self.recipe is not None:
            facts["recipe"] = self.recipe
        return ReplyTo(platform="cli", chat=str(self.clip.absolute()), limit=limit, facts=facts)

    @property
    def part(self) -> Path:
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
            self.part.touch()
            self.part.unlink()
        except OSError as error:
            raise OutputUnusable(str(self.clip), error.strerror or "unknown reason") from None


@dataclass
class Terminal:
    """One person who waits for one job: `finished` is set once that is at its end."""

    show: Show
    name: str = "cli"
    deduplicates: bool = True  # the same file under the same name is one file
    job: int | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await self.finished.wait()

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        if progress is not None:
            self.show.progress(progress)
        if job.state.final or (job.state is State.HELD and progress is None):
            self.show.note(text)
            if reason := messages.particulars(job.error):
                self.show.note(f"({reason})")
            self._finish(job)

    async def deliver(self, parcel: Parcel) -> str:
        """To where the job says: one that a dead terminal left behind has a place of its own."""
        target = Target.from_reply(parcel.job.reply_to)
        try:
            await asyncio.to_thread(_place, parcel.clip.path, target.clip)
            if target.sheet and parcel.job.clip and parcel.job.clip.sheet:
                await asyncio.to_thread(_place, parcel.job.clip.sheet, target.sheet)
        except OSError as error:
            raise Rejected(f"{error.filename}: {error.strerror}") from error
        if parcel.spoiler:
            self.show.note(messages.words("veiled", parcel.job.requester.language, job=parcel.job.id))
        return str(target.clip)

    async def delivered(self, job: Job) -> None:
        self._finish(job)

    def _finish(self, job: Job) -> None:
        if job.id == self.job:
            self.finished.set()


def _place(source: Path, target: Path) -> None:
    """Whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        settle(part, target)
    finally:
        part.unlink(missing_ok=True)


class Show:
    """Says nothing; what a machine or a quiet person gets."""

    def note(self, text: str) -> None:
        """A sentence for the person."""

    def progress(self, progress: Progress) -> None:
        """How far it is."""

    def close(self) -> None:
        """The last word was said."""


class Lines(Show):
    """For a log or a pipe: one line a stage."""

    def __init__(self) -> None:
        self._stages: set[str] = set()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def progress(self, progress: Progress) -> None:
        if progress.stage not in self._stages:
            self._stages.add(progress.stage)
            self.note(f"{progress.stage} ...")


def show_for(*, quiet: bool) -> Show:
    if quiet:
        return Show()
    if not sys.stderr.isatty():
        return Lines()
    from bot.cli.progress_bars import Live  # noqa: PLC0415  (rich takes longer to import than --help may last)

    return Live()
