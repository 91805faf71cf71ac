"""The SQLite database: one connection that writes with group commit, and one that reads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from enum import Enum
from pathlib import Path
from typing import TypeVar

import aiosqlite

from bot.domain.errors import DatabaseCorrupt, DataFolderUnusable, StoreFailed
from bot.store.connection import Connection
from bot.store.instance_lock import InstanceLock
from bot.store.migrate import Migration, load_migrations, migrate, schema_version
from bot.store.writer import GroupWriter, Work, run_in_thread
from generation.errors import DiskFull

T = TypeVar("T")
DATABASE_FILE = "matinee.db"
BUSY_SECONDS = 10.0
CHECKPOINT_BUSY_MILLISECONDS = 500


class Access(Enum):
    OWNER = "owner"  # the running instance: holds the folder's lock and migrates the schema
    GUEST = "guest"  # reads and writes, whether or not an instance is running
    READER = "reader"  # reads only


class Database:
    def __init__(self, path: Path, exit_stack: AsyncExitStack) -> None:
        self.path = path
        self._exit_stack = exit_stack
        self._reader: aiosqlite.Connection | None = None
        self._writer: GroupWriter | None = None

    @classmethod
    async def open(
        cls,
        folder: Path,
        access: Access = Access.OWNER,
        migrations: Sequence[Migration] | None = None,
        *,
        platforms_without_final_status: frozenset[str] = frozenset(),
    ) -> Database:
        """Raises a StartError if the folder or the file cannot be used."""
        migrations = migrations or load_migrations()
        async with AsyncExitStack() as exit_stack:
            if access is Access.OWNER:
                exit_stack.callback(InstanceLock.acquire(folder).release)
            database = cls(folder / DATABASE_FILE, exit_stack)
            await database._open(access, migrations, platforms_without_final_status)
            database._exit_stack = exit_stack.pop_all()
        return database

    async def _open(
        self,
        access: Access,
        migrations: Sequence[Migration],
        platforms_without_final_status: frozenset[str],
    ) -> None:
        if access is not Access.OWNER and not self.path.exists():
            raise DataFolderUnusable(str(self.path.parent), "there is no database in it yet")
        if access is Access.OWNER:
            self._create_private_file()
        if access is not Access.READER:
            connection = await self._connect()
            prepare = _prepare if access is Access.OWNER else _check_schema
            await self._run_at_start(connection, lambda c: prepare(c, self.path, migrations))
            await self._run_at_start(
                connection, lambda c: _exempt_from_final_status(c, platforms_without_final_status)
            )
            self._writer = GroupWriter(connection, self._as_user_error)
            self._exit_stack.push_async_callback(self._writer.close)
        self._reader = await self._connect(read_only=True)
        if access is Access.READER:
            await self._run_at_start(self._reader, lambda c: _check_schema(c, self.path, migrations))

    def _create_private_file(self) -> None:
        """SQLite would use the umask; its side files get the mode of this one."""
        try:
            if not self.path.exists():
                self.path.touch(mode=0o600)
        except OSError as error:
            raise DataFolderUnusable(str(self.path.parent), error.strerror or str(error)) from error

    async def _connect(self, *, read_only: bool = False) -> aiosqlite.Connection:
        uri = f"{self.path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
        try:
            connection = await aiosqlite.connect(
                uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, factory=Connection
            )
        except sqlite3.Error as error:
            raise DataFolderUnusable(str(self.path.parent), str(error)) from error
        self._exit_stack.push_async_callback(connection.close)
        return connection

    async def _run_at_start(self, connection: aiosqlite.Connection, work: Work[None]) -> None:
        try:
            await run_in_thread(connection, work)
        except UnicodeError as error:  # sqlite3 cannot decode the message about a damaged schema
            raise DatabaseCorrupt(str(self.path), str(error)) from error
        except sqlite3.Error as error:
            if _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise DatabaseCorrupt(str(self.path), str(error)) from error
            raise DataFolderUnusable(str(self.path.parent), str(error)) from error

    def _writing_connection(self) -> aiosqlite.Connection:
        assert self._writer is not None, "opened for reading only"
        return self._writer.connection

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """Run `work` in a transaction; the future has its result after the commit.

        Works that wait together share a transaction. If one raises, only its own changes are rolled back.
        """
        assert self._writer is not None, "opened for reading only"
        return self._writer.write(work)

    def on_rollback(self, callback: Callable[[], None]) -> None:
        """Call `callback`, in the writer's thread, after changes of a work were rolled back."""
        if self._writer is not None:
            self._writer.on_rollback = callback

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one consistent view of the data, without waiting for writers."""
        assert self._reader is not None
        try:
            return await run_in_thread(self._reader, lambda connection: _read_transaction(connection, work))
        except sqlite3.Error as error:
            raise self._as_user_error(error) from error

    async def truncate_wal(self) -> bool:
        """Empty the write-ahead log, in which deleted text stays until then.

        False if another connection was reading; call it again later.
        """
        try:
            return await run_in_thread(self._writing_connection(), _truncate_wal)
        except sqlite3.Error as error:
            raise self._as_user_error(error) from error

    async def close(self) -> None:
        await self._exit_stack.aclose()

    def _as_user_error(self, error: sqlite3.Error) -> Exception:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            return error  # a bug, not a failure of the disk
        if _code(error) == sqlite3.SQLITE_FULL:
            return DiskFull(str(self.path.parent))
        return StoreFailed(str(self.path), str(error))


def _code(error: sqlite3.Error) -> int:
    return (
        getattr(error, "sqlite_errorcode", 0) & 0xFF
    )  # the low byte of an extended code is the primary code


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    _set_pragmas(connection)
    migrate(connection, path, migrations)


def _exempt_from_final_status(connection: sqlite3.Connection, platforms: frozenset[str]) -> None:
    assert isinstance(connection, Connection), "every connection is opened with this factory"
    connection.platforms_without_final_status = platforms


def _check_schema(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    found = schema_version(connection, path, migrations)
    if found < migrations[-1].number:
        raise DataFolderUnusable(
            str(path.parent), f"its database has schema {found}: start Matinee once to bring it up to date"
        )
    _set_pragmas(connection)


def _set_pragmas(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL loses confirmed commits in a power failure
    connection.execute("PRAGMA cache_size = -32000")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB: a page that changed often is copied once
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # overwrite what is deleted


def _truncate_wal(connection: sqlite3.Connection) -> bool:
    connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_BUSY_MILLISECONDS}")  # it delays other writes
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    return not busy


def _read_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
