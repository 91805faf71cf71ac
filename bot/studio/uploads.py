"""Files that users attach: permission is asked before a byte is fetched; what is refused is deleted.

A file is stored as `uploads/OWNER/RANDOM`, where OWNER is derived from the key of its user, so that nobody
can name the file of another. It is opened only by a GuardedReader, in a child process with limits.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bot.domain.errors import DiskLow, QuotaSpent
from bot.domain.jobs import Requester
from bot.domain.operator import OperatorPolicy
from bot.store.store import Store
from bot.studio import derivatives
from bot.studio.access import AccessControl, AdmissionTerms, Viewer
from generation.errors import AttachmentRefused, DiskFull, ExplainedError
from generation.media.files import disk_is_full, make_folder, rename_durably, write_atomically
from generation.media.guarded_reader import GuardedReader
from generation.request import Limits, MusicWish, Request, Wish

log = structlog.get_logger(__name__)

T = TypeVar("T")
FOLDER = "uploads"
MAX_IMAGE_BYTES = 10 * 2**20
MAX_FILE_BYTES = 60_000_000
IMAGE_TOO_LARGE = "it is larger than 10 MB"

Fetch = Callable[[], Awaitable[bytes]]
"""Downloads the file from the platform. It is not called unless the upload is permitted."""


class Uploads:
    """Receives the files of users, and opens those that a wish names."""

    def __init__(
        self, *, store: Store, access: AccessControl, operator_policy: OperatorPolicy, reader: GuardedReader
    ) -> None:
        self._store = store
        self._access = access
        self._operator_policy = operator_policy
        self._reader = reader
        self._folder = operator_policy.data_folder.absolute() / FOLDER

    @asynccontextmanager
    async def receive(self, viewer: Viewer) -> AsyncIterator[Intake]:
        """Receive the files of one wish, and submit it inside the block.

        If the block fails or is cancelled, none of them stays on the disk, except those that a new job names.
        Raises what a wish of this user here would raise before its prompt is looked at, and QuotaSpent if the
        user has no credits left.
        """
        terms = await self._access.require_admitted(viewer)
        await self._check_credits(viewer.requester, terms)
        intake = Intake(self, viewer.requester)
        try:
            yield intake
        except BaseException:
            await _to_the_end(self._discard_unneeded(intake.stored))
            raise

    async def read_recipe(self, name: str, size: int, fetch: Fetch, viewer: Viewer) -> Request | None:
        """The request that a file carries, or None; the file is not kept. Raises as `receive`."""
        await self._access.require_admitted(viewer)
        path = await self.fetch(viewer.requester, name, size, fetch, limit=MAX_FILE_BYTES, suffix=".recipe")
        try:
            return await self._reader.read_recipe(path, name)
        finally:
            await _to_the_end(asyncio.to_thread(_delete, [path]))

    async def fetch(
        self, requester: Requester, name: str, size: int, fetch: Fetch, *, limit: int, suffix: str
    ) -> Path:
        """Fetch a file whose size is permitted and store it as it is, under a temporary name."""
        if size > limit:
            raise AttachmentRefused(name, IMAGE_TOO_LARGE if limit == MAX_IMAGE_BYTES else "too large")
        self._check_disk()
        if not requester.admin:
            await self._store.reserve_upload(requester.key, size, self._operator_policy.uploads)
        content = await fetch()
        if len(content) > limit:
            raise AttachmentRefused(name, "too large")
        if len(content) > size:  # the platform had named another size, or none
            await self._store.record_stored_bytes(requester.key, len(content) - size)
        path = self._new_path(requester, f"{suffix}.part")
        try:
            await _to_the_end(asyncio.to_thread(_write, path, content))
        except BaseException:
            await _to_the_end(asyncio.to_thread(_delete, [path]))
            raise
        return path

    async def store_picture(self, requester: Requester, part: Path, name: str) -> Path:
        """Keep a clean PNG of a fetched picture, and nothing else."""
        clean, target = part.with_suffix(".png.part"), part.with_name(f"{secrets.token_hex(8)}.png")
        try:
            await self._reader.clean_picture(part, clean, name)
            size = (await asyncio.to_thread(clean.stat)).st_size - (
                await asyncio.to_thread(part.stat)
            ).st_size
            await _to_the_end(asyncio.to_thread(rename_durably, clean, target))
            await self._store.record_stored_bytes(requester.key, size)
        except BaseException as error:
            full = disk_is_full(part.parent)
            await _to_the_end(asyncio.to_thread(_delete, [part, clean, target]))
            if full and isinstance(error, AttachmentRefused):
                raise DiskFull(str(part.parent)) from error
            raise
        await _to_the_end(asyncio.to_thread(_delete, [part]))
        return target

    async def store_sound(self, part: Path, name: str, suffix: str) -> Path:
        target = part.with_name(f"{secrets.token_hex(8)}{suffix}")
        try:
            await self._reader.check_sound(part, name)
            await _to_the_end(asyncio.to_thread(rename_durably, part, target))
        except BaseException:
            await _to_the_end(asyncio.to_thread(_delete, [part, target]))
            raise
        return target

    async def complete_from_files(self, wish: Wish, requester: Requester, limits: Limits) -> Wish:
        """Open the files that a wish names: they decide what it leaves open. Raises AttachmentRefused."""
        self.require_own(requester, wish.image, wish.source)
        if wish.source is not None:
            source = Path(wish.source)
            return derivatives.fill_from_clip(wish, await self._reader.read_clip(source, source.name), limits)
        if wish.image is None:
            return wish
        picture = Path(wish.image)
        width, height = await self._picture_size(picture)
        if wish.width or wish.height or wish.aspect:
            return wish
        return replace(wish, aspect=derivatives.nearest_aspect(width, height, limits))

    async def check_music(self, music: MusicWish, requester: Requester) -> None:
        """Check the sounds that a wish names; raises AttachmentRefused."""
        self.require_own(requester, music.track, music.melody)
        for path in map(Path, filter(None, (music.track, music.melody))):
            if not self._is_stored(path):
                await self._reader.check_sound(path, path.name)

    def require_own(self, requester: Requester, *names: str | None) -> None:
        """Refuse a path that is not an upload of this user, unless their frontend is on their own machine."""
        if requester.platform in self._operator_policy.local_platforms:
            return
        for name in filter(None, names):
            if Path(name).parent != self._owner_folder(requester) or not self._is_stored(Path(name)):
                raise AttachmentRefused(Path(name).name, "not readable")

    async def discard(self, requester: Requester, *names: str | None) -> None:
        """Delete uploads of this user that no job names; a path elsewhere is left alone."""
        own = self._owner_folder(requester)
        await _to_the_end(
            self._discard_unneeded([Path(name) for name in names if name and Path(name).parent == own])
        )

    async def _discard_unneeded(self, paths: Sequence[Path]) -> None:
        if not paths:
            return
        try:
            needed = await self._store.files_named_by_jobs(map(str, paths))
        except ExplainedError:  # the janitor asks again
            log.warning("uploads of a refused request are still there", files=len(paths))
            return
        await asyncio.to_thread(_delete, [path for path in paths if str(path) not in needed])

    async def _picture_size(self, path: Path) -> tuple[int, int]:
        if self._is_stored(path):
            return await asyncio.to_thread(_clean_png_size, path)
        return await self._reader.picture_size(path, path.name)

    def _is_stored(self, path: Path) -> bool:
        """Whether this is one of our own files, which was checked when it was received."""
        return path.parent.parent == self._folder and path.suffix != ".part" and path.is_file()

    def _owner_folder(self, requester: Requester) -> Path:
        return self._folder / hashlib.sha256(requester.key.encode()).hexdigest()[:16]

    def _new_path(self, requester: Requester, suffix: str) -> Path:
        return self._owner_folder(requester) / f"{secrets.token_hex(8)}{suffix}"

    def _check_disk(self) -> None:
        floor = self._operator_policy.min_free_disk
        free = shutil.disk_usage(self._operator_policy.data_folder).free
        if free < floor:
            raise DiskLow(free, floor)

    async def _check_credits(self, requester: Requester, terms: AdmissionTerms) -> None:
        """Raise QuotaSpent for a user who cannot pay for any job."""
        balance = await self._store.balance(requester.key, terms.allowance)
        if balance.unlimited or balance.left > 0 or terms.pool is not None:
            return
        raise QuotaSpent(cost=1, left=0, limit=balance.limit, back_at=balance.back_at)


class Intake:
    """Receives the files of one wish, one after the other.

    Each method raises AttachmentRefused with `name`, the user's name of the file, and also RateLimited,
    UploadLimitReached or DiskLow. `size` is what the platform says before the download.
    """

    def __init__(self, uploads: Uploads, requester: Requester) -> None:
        self.stored: list[Path] = []
        self._uploads = uploads
        self._requester = requester

    async def picture(self, name: str, size: int, fetch: Fetch) -> str:
        """Store a clean PNG of the picture, without metadata; returns its path."""
        part = await self._fetch(name, size, fetch, limit=MAX_IMAGE_BYTES, suffix=".picture")
        return self._keep(await self._uploads.store_picture(self._requester, part, name))

    async def sound(self, name: str, size: int, fetch: Fetch, *, suffix: str = ".sound") -> str:
        """Store a sound as it is, once it was decoded; returns its path."""
        part = await self._fetch(name, size, fetch, limit=MAX_FILE_BYTES, suffix=suffix)
        return self._keep(await self._uploads.store_sound(part, name, suffix))

    async def _fetch(self, name: str, size: int, fetch: Fetch, *, limit: int, suffix: str) -> Path:
        return await self._uploads.fetch(self._requester, name, size, fetch, limit=limit, suffix=suffix)

    def _keep(self, path: Path) -> str:
        self.stored.append(path)
        return str(path)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, also if this is cancelled: then nothing is written after a deletion."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is not None:
                log.info("failed after its user had gone", reason=repr(task.exception()))


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    write_atomically(path, content)


def _delete(paths: list[Path]) -> None:
    """Delete the files, and the folder of their owner once it is empty."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        if folder.is_dir() and not any(folder.iterdir()):
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # another upload of the same user arrived meanwhile
        return


def _clean_png_size(path: Path) -> tuple[int, int]:
    """The size of a PNG that the reader wrote."""
    with path.open("rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
