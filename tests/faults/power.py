"""The power is cut, thousands of times: `python -m tests.faults.power --images 2000 --seed 7`.

The real store does its work on the real schema; its statements are done once more on a disk that is watched,
write by write. Then every image is a moment of that disk: what was synced is there, and of the rest some is,
some is not, some is torn in the middle. Whoever was told that something is safe must find it in every image.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from bot.domain.jobs import Job
from bot.domain.quota import Allowance, Caps
from bot.store.migrate import steps
from bot.store.store import Store
from tests.bot.store.conftest import CLIP, a_draft

SECTOR = 512
CHECKPOINT = 60
"""Pages in the log before they go to the main file: few, so that this happens often and is cut often."""
QUICK = Path("/dev/shm")  # noqa: S108  (only a faster place for a folder of our own)
LOOKS = (
    "SELECT id, state, epoch, message, clip IS NULL, tag FROM job ORDER BY id",
    "SELECT id, kind, purse, credits, job FROM ledger ORDER BY id",
    "SELECT key, account FROM person ORDER BY key",
    "SELECT name, value FROM fact ORDER BY name",
)


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """The file ends here from now on."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Gone:
    """SQLite's own wish: a journal that is done with."""

    file: str


@dataclass(frozen=True, slots=True)
class Told:
    """A commit came back: whoever waited for it was told. `state` is all that is in the database now."""

    state: str


Event = Write | Cut | Sync | Gone | Told


@dataclass(slots=True)
class Film:
    """All that happened on the watched disk, in order."""

    events: list[Event] = field(default_factory=list)


class WatchedFile(apsw.VFSFile):
    def __init__(self, film: Film, base: str, name: Any, flags: list[int]) -> None:
        self._film = film
        path = name if isinstance(name, str) else name.filename()
        self._name = Path(path).name
        super().__init__(base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802  (apsw's name)
        self._film.events.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802  (as above)
        self._film.events.append(Cut(self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802  (as above)
        super().xSync(flags)
        self._film.events.append(Sync(self._name))


class WatchedDisk(apsw.VFS):
    def __init__(self, film: Film) -> None:
        self._film = film
        super().__init__("watched", "")

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802  (as above)
        super().xDelete(filename, syncdir)
        self._film.events.append(Gone(Path(filename).name))

    def xOpen(self, name: Any, flags: list[int]) -> WatchedFile:  # noqa: N802  (as above)
        return WatchedFile(self._film, "", name, flags)


async def statements(folder: Path, seed: int) -> tuple[list[str], str]:
    """What the real store says to SQLite while people ask, an engine paints and a chat takes clips."""
    said: list[str] = []
    store = await Store.open(folder)
    how = await store.act(lambda c, _: c.execute("PRAGMA synchronous").fetchone()[0])
    await store.act(lambda c, _: c.set_trace_callback(said.append))
    await asyncio.gather(*(_person(store, number, random.Random(f"{seed} {number}")) for number in range(12)))
    await store.act(lambda c, _: c.set_trace_callback(None))
    await store.close()
    first = next(index for index, text in enumerate(said) if text.upper().startswith("BEGIN"))
    return [text for text in said[first:] if not text.startswith("--")], str(how)


async def _person(store: Store, number: int, dice: random.Random) -> None:
    for _ in range(10):
        draft = a_draft(f"u{number}", update=f"{number}-{dice.random()}")
        made = await store.enqueue(draft, allowance=Allowance(credits=1000), caps=Caps())
        if dice.random() < 0.2:
            await store.grant(f"discord:u{number}", 3)
        job = await store.claim(lease=60)
        if job is not None:
            await _serve(store, job, dice)
        await store.change_setting(f"discord:u{number}", "language", dice.choice(["en", "de"]))
        await store.remember_status(made.job.id, str(number))


async def _serve(store: Store, job: Job, dice: random.Random) -> None:
    if dice.random() < 0.2:
        await store.requeue(job.id, job.epoch, guilty=False)
        return
    await store.rendered(job.id, job.epoch, CLIP)
    await store.begin_delivery(job.id)
    await (store.delivered(job.id, "m") if dice.random() < 0.8 else store.doubtful(job.id))


def filmed(folder: Path, said: list[str], synchronous: str) -> Film:
    """The same once more, on the watched disk."""
    film = Film()
    disk = WatchedDisk(film)
    c = apsw.Connection(str(folder / "power.db"), vfs="watched")
    try:
        c.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory: that is none of the disk's affairs
        c.execute("PRAGMA journal_mode = WAL")
        c.execute(f"PRAGMA synchronous = {synchronous}")
        c.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        for step in steps():
            c.execute(f"BEGIN;{step.sql};COMMIT")
        film.events.append(Told(state_of(c)))
        for text in said:
            c.execute(text)
            if text.upper().startswith("COMMIT"):
                film.events.append(Told(state_of(c)))
        return Film(list(film.events))  # what closing still writes is nobody's to lose
    finally:
        c.close()
        disk.unregister()


def state_of(c: Any) -> str:
    told = hashlib.sha256()
    for sql in LOOKS:
        told.update(repr([tuple(row) for row in c.execute(sql)]).encode())
    return told.hexdigest()


@dataclass(slots=True)
class Platter:
    """One file: what is safe on it, and what is only on its way there."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Write | Cut] = field(default_factory=list)

    def sync(self) -> None:
        for event in self.pending:
            put(self.safe, event)
        self.pending.clear()

    def after_a_cut(self, dice: random.Random) -> bytes:
        """Any of what was on its way has arrived, in any order, whole, in part or not at all."""
        left = bytearray(self.safe)
        for event in dice.sample(self.pending, len(self.pending)):
            fate = dice.random()
            if fate < 0.4:
                put(left, event)
            elif fate < 0.7 and isinstance(event, Write):
                for piece in _torn(event, dice):
                    put(left, piece)
        return bytes(left)


def put(content: bytearray, event: Write | Cut) -> None:
    if isinstance(event, Cut):
        del content[event.size :]
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data


def _torn(event: Write, dice: random.Random) -> Iterator[Write]:
    """Some sectors of it."""
    start = 0
    while start < len(event.data):
        end = (event.offset + start) // SECTOR * SECTOR + SECTOR - event.offset
        if dice.random() < 0.5:
            yield Write(event.file, event.offset + start, event.data[start:end])
        start = end


@dataclass(slots=True)
class Toll:
    images: int = 0
    commits: int = 0
    pending: int = 0  # images in which something was on its way
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def cut(film: Film, images: int, seed: int) -> Toll:
    """So many moments of the film, each looked at as a start after a power cut would."""
    dice = random.Random(seed)
    first = next(index for index, event in enumerate(film.events) if isinstance(event, Told))
    moments = sorted(dice.randrange(first + 1, len(film.events)) for _ in range(images))
    states = [event.state for event in film.events if isinstance(event, Told)]
    toll = Toll(commits=len(states))
    platters: dict[str, Platter] = {}
    told = -1
    folder = Path(tempfile.mkdtemp(prefix="matinee-power-", dir=QUICK if QUICK.is_dir() else None))
    try:
        for index, event in enumerate(film.events):
            while moments and moments[0] == index:
                moments.pop(0)
                toll.images += 1
                toll.pending += any(platter.pending for platter in platters.values())
                _look(folder, platters, states[told : told + 2], dice, toll)
            if isinstance(event, Told):
                told += 1
            elif isinstance(event, Gone):
                platters.pop(event.file, None)
            elif isinstance(event, Sync):
                platters.setdefault(event.file, Platter()).sync()
            else:
                platters.setdefault(event.file, Platter()).pending.append(event)
    finally:
        shutil.rmtree(folder)
    return toll


def _look(
    folder: Path, platters: dict[str, Platter], allowed: list[str], dice: random.Random, toll: Toll
) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name, platter in platters.items():
        (folder / name).write_bytes(platter.after_a_cut(dice))
    try:
        with closing(sqlite3.connect(folder / "power.db")) as c:
            verdict = c.execute("PRAGMA integrity_check").fetchone()[0]
            state = state_of(c)
    except sqlite3.Error as error:
        toll.broken.append(f"image {toll.images}: {error}")
        return
    if verdict != "ok":
        toll.broken.append(f"image {toll.images}: {verdict}")
    elif state not in allowed:
        toll.lost.append(f"image {toll.images}: what was told is not there")


def power_cuts(images: int, seed: int, *, synchronous: str | None = None) -> Toll:
    """As the store is set up, or as somebody might wish it were, for comparison."""
    with tempfile.TemporaryDirectory(prefix="matinee-film-", dir=QUICK if QUICK.is_dir() else None) as place:
        said, how = asyncio.run(statements(Path(place) / "house", seed))
        return cut(filmed(Path(place), said, synchronous or how), images, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    ours = power_cuts(asked.images, asked.seed)
    other = power_cuts(asked.images, asked.seed, synchronous="NORMAL")
    for name, toll in (("as it is", ours), ("synchronous=NORMAL, for comparison", other)):
        lost = f"{len(toll.lost)} lost something, {len(toll.broken)} damaged"
        sys.stdout.write(f"{name}: {toll.images} images of {toll.commits} commits, {lost}\n")
    return 1 if ours.lost or ours.broken or not other.lost else 0


if __name__ == "__main__":
    sys.exit(main())
