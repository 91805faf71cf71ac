"""Group commit: works that wait together share one transaction and get their results after its commit.

A work may run twice, the first time without effect, so it must only read and write the database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from bot.store.connection import simulated_sqlite_error
from generation.failpoint import FailPoint, pass_failpoint

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
MAX_BATCH = 256


async def run_in_thread(connection: aiosqlite.Connection, work: Work[T]) -> T:
    """Run `work` in the connection's thread, in one call: a transaction cannot be cancelled halfway."""
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001  (the public calls take one statement each)
    return result


_QueuedWork = tuple[Work[Any], asyncio.Future[Any]]
_Outcome = tuple[Any, Exception | None]  # the result of a work, or the error that it raised


class GroupWriter:
    def __init__(
        self, connection: aiosqlite.Connection, as_user_error: Callable[[sqlite3.Error], Exception]
    ) -> None:
        """`as_user_error` converts SQLite errors into errors that can be shown to a user."""
        self.on_rollback: Callable[[], None] = lambda: None
        self.connection = connection
        self._as_user_error = as_user_error
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_QueuedWork] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run_batches())

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """The future has the result of `work` after the commit. Cancelling it affects no other work."""
        if self._closing:
            raise RuntimeError("the database is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((work, answer))
        if len(self._waiting) == 1:
            self._wake.set()
        return answer

    async def close(self) -> None:
        """Finish all works that were submitted before this call."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run_batches(self) -> None:
        try:
            while self._waiting or not self._closing:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next_batch():
                    await self._run_batch(batch)
        finally:
            for _, answer in self._waiting:
                answer.cancel()

    def _next_batch(self) -> list[_QueuedWork]:
        """The next works, without those whose caller stopped waiting before they ran."""
        while self._waiting:
            taken, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if batch := [one for one in taken if not one[1].done()]:
                return batch
        return []

    async def _run_batch(self, batch: Sequence[_QueuedWork]) -> None:
        works = [work for work, _ in batch]
        try:
            outcomes = await run_in_thread(
                self.connection, lambda connection: _run_transaction(connection, works, self.on_rollback)
            )
        except sqlite3.Error as error:
            outcomes = [(None, self._as_user_error(error)) for _ in batch]
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), (value, failed) in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if failed is None:
                answer.set_result(value)
            else:
                answer.set_exception(self._translate_error(failed))

    def _translate_error(self, error: Exception) -> Exception:
        return self._as_user_error(error) if isinstance(error, sqlite3.Error) else error


def _run_transaction(
    connection: sqlite3.Connection, works: Sequence[Work[Any]], on_rollback: Callable[[], None]
) -> list[_Outcome]:
    """Run all works without savepoints; if one fails after it wrote, run all again, each in a savepoint."""
    try:
        return _run_and_commit(connection, works, _run_without_savepoints, on_rollback)
    except _PartialWrite:
        return _run_and_commit(
            connection, works, partial(_run_with_savepoints, on_rollback=on_rollback), on_rollback
        )


def _run_and_commit(
    connection: sqlite3.Connection,
    works: Sequence[Work[Any]],
    run: Callable[[sqlite3.Connection, Sequence[Work[Any]]], list[_Outcome]],
    on_rollback: Callable[[], None],
) -> list[_Outcome]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = run(connection, works)
        pass_failpoint(FailPoint.COMMIT, simulated_sqlite_error)
        connection.execute("COMMIT")
        pass_failpoint(FailPoint.COMMITTED, simulated_sqlite_error)
    except BaseException:
        on_rollback()
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return outcomes


class _PartialWrite(Exception):
    """A work failed after it had written: its changes must be undone, those of other works kept."""


def _run_without_savepoints(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[_Outcome]:
    """Most works that fail have written nothing, because they are refused, so they need no savepoint."""
    outcomes: list[_Outcome] = []
    for work in works:
        before = connection.total_changes
        try:
            outcomes.append((work(connection), None))
        except Exception as error:
            if (
                not connection.in_transaction
            ):  # SQLite rolled back the whole transaction: full disk or failed read
                raise
            if connection.total_changes != before:
                raise _PartialWrite from error
            outcomes.append((None, error))
    return outcomes


def _run_with_savepoints(
    connection: sqlite3.Connection, works: Sequence[Work[Any]], on_rollback: Callable[[], None]
) -> list[_Outcome]:
    return [_run_in_savepoint(connection, work, on_rollback) for work in works]


def _run_in_savepoint(
    connection: sqlite3.Connection, work: Work[Any], on_rollback: Callable[[], None]
) -> _Outcome:
    outcome: _Outcome
    connection.execute("SAVEPOINT one")
    try:
        outcome = work(connection), None
    except Exception as error:  # reported to this caller only
        if not connection.in_transaction:
            raise
        on_rollback()
        connection.execute("ROLLBACK TO one")
        outcome = None, error
    connection.execute("RELEASE one")
    return outcome
