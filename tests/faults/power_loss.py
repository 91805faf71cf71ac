"""`python -m tests.faults.power_loss --images 2000 --seed 7` simulates thousands of power cuts.

The real store runs a workload on the real schema. Its statements are then repeated on a disk that records
every write. Each disk image is a moment of that recording: what was synced is there; of the other writes some
are there, some are missing and some are torn. Every acknowledged commit must be in every image.
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
from bot.store.migrate import load_migrations
from bot.store.store import Store
from tests.bot.store.conftest import CLIP, write_rows
from tests.factories import make_draft

SECTOR_BYTES = 512
CHECKPOINT_PAGES = 60
"""Pages in the WAL before a checkpoint: few, so that many power cuts hit a checkpoint."""
RAM_DISK = Path("/dev/shm")  # noqa: S108  (only a faster place for our own folder)
STATE_QUERIES = (
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
class Truncate:
    """The file was truncated to `size`."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    """SQLite deleted a file, such as a journal that it no longer needs."""

    file: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A commit returned to its caller. `state` is the digest of the database at that moment."""

    state: str


DiskEvent = Write | Truncate | Sync | Delete | Acknowledge


@dataclass(slots=True)
class DiskRecording:
    """All events on the recorded disk, in order."""

    events: list[DiskEvent] = field(default_factory=list)


class RecordingFile(apsw.VFSFile):
    def __init__(self, recording: DiskRecording, base: str, name: Any, flags: list[int]) -> None:
        self._recording = recording
        path = name if isinstance(name, str) else name.filename()
        self._name = Path(path).name
        super().__init__(base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802  (apsw's name)
        self._recording.events.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802  (as above)
        self._recording.events.append(Truncate(self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802  (as above)
        super().xSync(flags)
        self._recording.events.append(Sync(self._name))


class RecordingDisk(apsw.VFS):
    def __init__(self, recording: DiskRecording) -> None:
        self._recording = recording
        super().__init__("recording", "")

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802  (as above)
        super().xDelete(filename, syncdir)
        self._recording.events.append(Delete(Path(filename).name))

    def xOpen(self, name: Any, flags: list[int]) -> RecordingFile:  # noqa: N802  (as above)
        return RecordingFile(self._recording, "", name, flags)


async def record_statements(folder: Path, seed: int) -> tuple[list[str], str]:
    """Run a workload on the real store; returns its SQL statements and its `synchronous` setting."""
    executed: list[str] = []
    store = await Store.open(folder)
    synchronous = await write_rows(store, lambda c: c.execute("PRAGMA synchronous").fetchone()[0])
    await write_rows(store, lambda c: c.set_trace_callback(executed.append))
    await asyncio.gather(
        *(_simulate_user(store, number, random.Random(f"{seed} {number}")) for number in range(12))
    )
    await write_rows(store, lambda c: c.set_trace_callback(None))
    await store.close()
    first = next(index for index, text in enumerate(executed) if text.upper().startswith("BEGIN"))
    return [text for text in executed[first:] if not text.startswith("--")], str(synchronous)


async def _simulate_user(store: Store, number: int, rng: random.Random) -> None:
    for _ in range(10):
        draft = make_draft(f"u{number}", idempotency_key=f"{number}-{rng.random()}")
        enqueued = await store.enqueue(draft, allowance=Allowance(credits=1000), caps=Caps())
        if rng.random() < 0.2:
            await store.grant(f"discord:u{number}", 3)
        job = await store.claim(lease=60)
        if job is not None:
            await _process_job(store, job, rng)
        await store.change_setting(f"discord:u{number}", "language", rng.choice(["en", "de"]))
        await store.save_status_message(enqueued.job.id, str(number))


async def _process_job(store: Store, job: Job, rng: random.Random) -> None:
    if rng.random() < 0.2:
        await store.requeue(job.id, job.epoch, guilty=False)
        return
    await store.mark_rendered(job.id, job.epoch, CLIP)
    await store.begin_delivery(job.id)
    await (store.mark_delivered(job.id, "m") if rng.random() < 0.8 else store.mark_uncertain(job.id))


def record_disk(folder: Path, statements: list[str], synchronous: str) -> DiskRecording:
    """Repeat the statements on the recording disk."""
    recording = DiskRecording()
    disk = RecordingDisk(recording)
    c = apsw.Connection(str(folder / "power.db"), vfs="recording")
    try:
        c.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory file, which would not be on the disk
        c.execute("PRAGMA journal_mode = WAL")
        c.execute(f"PRAGMA synchronous = {synchronous}")
        c.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        for step in load_migrations():
            c.execute(f"BEGIN;{step.sql};COMMIT")
        recording.events.append(Acknowledge(database_digest(c)))
        for text in statements:
            c.execute(text)
            if text.upper().startswith("COMMIT"):
                recording.events.append(Acknowledge(database_digest(c)))
        return DiskRecording(list(recording.events))  # without the writes of closing
    finally:
        c.close()
        disk.unregister()


def database_digest(c: Any) -> str:
    digest = hashlib.sha256()
    for sql in STATE_QUERIES:
        digest.update(repr([tuple(row) for row in c.execute(sql)]).encode())
    return digest.hexdigest()


@dataclass(slots=True)
class SimulatedFile:
    """A file: its synced content and its pending writes."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for event in self.pending:
            apply_event(self.synced, event)
        self.pending.clear()

    def after_power_cut(self, rng: random.Random) -> bytes:
        """The content after a power cut: pending writes arrive in any order, whole, in part or not at all."""
        content = bytearray(self.synced)
        for event in rng.sample(self.pending, len(self.pending)):
            chance = rng.random()
            if chance < 0.4:
                apply_event(content, event)
            elif chance < 0.7 and isinstance(event, Write):
                for piece in _random_sectors(event, rng):
                    apply_event(content, piece)
        return bytes(content)


def apply_event(content: bytearray, event: Write | Truncate) -> None:
    if isinstance(event, Truncate):
        del content[event.size :]
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data


def _random_sectors(event: Write, rng: random.Random) -> Iterator[Write]:
    """A random subset of the sectors of a write."""
    start = 0
    while start < len(event.data):
        end = (event.offset + start) // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - event.offset
        if rng.random() < 0.5:
            yield Write(event.file, event.offset + start, event.data[start:end])
        start = end


@dataclass(slots=True)
class PowerCutResult:
    images: int = 0
    commits: int = 0
    with_pending_writes: int = 0  # images taken while writes were pending
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def simulate_power_cuts(recording: DiskRecording, images: int, seed: int) -> PowerCutResult:
    """Build `images` disk images at random moments and open each as a start after a power cut would."""
    rng = random.Random(seed)
    first = next(index for index, event in enumerate(recording.events) if isinstance(event, Acknowledge))
    moments = sorted(rng.randrange(first + 1, len(recording.events)) for _ in range(images))
    states = [event.state for event in recording.events if isinstance(event, Acknowledge)]
    result = PowerCutResult(commits=len(states))
    files: dict[str, SimulatedFile] = {}
    acknowledged = -1
    folder = Path(tempfile.mkdtemp(prefix="matinee-power-", dir=RAM_DISK if RAM_DISK.is_dir() else None))
    try:
        for index, event in enumerate(recording.events):
            while moments and moments[0] == index:
                moments.pop(0)
                result.images += 1
                result.with_pending_writes += any(simulated_file.pending for simulated_file in files.values())
                _check_image(folder, files, states[acknowledged : acknowledged + 2], rng, result)
            if isinstance(event, Acknowledge):
                acknowledged += 1
            elif isinstance(event, Delete):
                files.pop(event.file, None)
            elif isinstance(event, Sync):
                files.setdefault(event.file, SimulatedFile()).sync()
            else:
                files.setdefault(event.file, SimulatedFile()).pending.append(event)
    finally:
        shutil.rmtree(folder)
    return result


def _check_image(
    folder: Path,
    files: dict[str, SimulatedFile],
    allowed: list[str],
    rng: random.Random,
    result: PowerCutResult,
) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name, simulated_file in files.items():
        (folder / name).write_bytes(simulated_file.after_power_cut(rng))
    try:
        with closing(sqlite3.connect(folder / "power.db")) as c:
            verdict = c.execute("PRAGMA integrity_check").fetchone()[0]
            state = database_digest(c)
    except sqlite3.Error as error:
        result.broken.append(f"image {result.images}: {error}")
        return
    if verdict != "ok":
        result.broken.append(f"image {result.images}: {verdict}")
    elif state not in allowed:
        result.lost.append(f"image {result.images}: an acknowledged commit is missing")


def power_cuts(images: int, seed: int, *, synchronous: str | None = None) -> PowerCutResult:
    """Simulate power cuts with the store's own `synchronous` setting, or with another for comparison."""
    with tempfile.TemporaryDirectory(
        prefix="matinee-power-recording-", dir=RAM_DISK if RAM_DISK.is_dir() else None
    ) as folder:
        executed, used_synchronous = asyncio.run(record_statements(Path(folder) / "store", seed))
        return simulate_power_cuts(
            record_disk(Path(folder), executed, synchronous or used_synchronous), images, seed
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    shipped = power_cuts(arguments.images, arguments.seed)
    comparison = power_cuts(arguments.images, arguments.seed, synchronous="NORMAL")
    for name, result in (("as shipped", shipped), ("synchronous=NORMAL, for comparison", comparison)):
        lost = f"{len(result.lost)} lost something, {len(result.broken)} damaged"
        sys.stdout.write(f"{name}: {result.images} images of {result.commits} commits, {lost}\n")
    return 1 if shipped.lost or shipped.broken or not comparison.lost else 0


if __name__ == "__main__":
    sys.exit(main())
