"""Group commit: everyone who is waiting to write shares one transaction, and is answered after its commit.

A work may be run twice, the first time for nothing: it must do nothing but read and write the database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from bot.store.connection import ill
from generation.failpoint import Place, here

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
MOST_AT_ONCE = 256


async def in_thread(connection: aiosqlite.Connection, work: Work[T]) -> T:
    """Run `work` in the connection's own thread: a transaction in one hop cannot be cancelled halfway."""
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001  (the public calls take one statement each)
    return result


_Waiting = tuple[Work[Any], asyncio.Future[Any]]
_Outcome = tuple[Any, Exception | None]  # what a work returned, or why it did not


class GroupWriter:
    def __init__(
        self, connection: aiosqlite.Connection, explain: Callable[[sqlite3.Error], Exception]
    ) -> None:
        """`explain` turns SQLite's own failures into errors that a person can be told."""
        self.undone: Callable[[], None] = lambda: None
        self._connection = connection
        self._explain = explain
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._server = asyncio.create_task(self._serve())

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """What `work` returned, once it is safe on the disk. A caller that stops waiting hurts nobody."""
        if self._closing:
            raise RuntimeError("the database is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((work, answer))
        if len(self._waiting) == 1:
            self._wake.set()
        return answer

    async def close(self) -> None:
        """Finish what was asked for before."""
        self._closing = True
        self._wake.set()
        await self._server

    async def _serve(self) -> None:
        try:
            while self._waiting or not self._closing:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next():
                    await self._answer(batch)
        finally:
            for _, answer in self._waiting:
                answer.cancel()

    def _next(self) -> list[_Waiting]:
        """Those whose turn it is; a caller that left before its turn wants nothing written."""
        while self._waiting:
            taken, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            if batch := [one for one in taken if not one[1].done()]:
                return batch
        return []

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        works = [work for work, _ in batch]
        try:
            outcomes = await in_thread(
                self._connection, lambda connection: _transaction(connection, works, self.undone)
            )
        except sqlite3.Error as error:
            outcomes = [(None, self._explain(error)) for _ in batch]
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
                answer.set_exception(self._told(failed))

    def _told(self, error: Exception) -> Exception:
        return self._explain(error) if isinstance(error, sqlite3.Error) else error


def _transaction(
    connection: sqlite3.Connection, works: Sequence[Work[Any]], undone: Callable[[], None]
) -> list[_Outcome]:
    """All of them at once; if one failed halfway, all again, each with a savepoint to fall back to."""
    try:
        return _committed(connection, works, _trusted, undone)
    except _Halfway:
        return _committed(connection, works, partial(_apart, undone=undone), undone)


def _committed(
    connection: sqlite3.Connection,
    works: Sequence[Work[Any]],
    run: Callable[[sqlite3.Connection, Sequence[Work[Any]]], list[_Outcome]],
    undone: Callable[[], None],
) -> list[_Outcome]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = run(connection, works)
        here(Place.COMMIT, ill)
        connection.execute("COMMIT")
        here(Place.COMMITTED, ill)
    except BaseException:
        undone()
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return outcomes


class _Halfway(Exception):
    """Something failed after it had written: what it wrote must go, and what others wrote must stay."""


def _trusted(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[_Outcome]:
    """Most that fail are refusals, which have written nothing: those need no savepoint."""
    outcomes: list[_Outcome] = []
    for work in works:
        before = connection.total_changes
        try:
            outcomes.append((work(connection), None))
        except Exception as error:
            if not connection.in_transaction:  # SQLite gave the whole transaction up: full disk, failed read
                raise
            if connection.total_changes != before:
                raise _Halfway from error
            outcomes.append((None, error))
    return outcomes


def _apart(
    connection: sqlite3.Connection, works: Sequence[Work[Any]], undone: Callable[[], None]
) -> list[_Outcome]:
    return [_alone(connection, work, undone) for work in works]


def _alone(connection: sqlite3.Connection, work: Work[Any], undone: Callable[[], None]) -> _Outcome:
    outcome: _Outcome
    connection.execute("SAVEPOINT one")
    try:
        outcome = work(connection), None
    except Exception as error:  # it belongs to this caller alone, and goes there
        if not connection.in_transaction:
            raise
        undone()
        connection.execute("ROLLBACK TO one")
        outcome = None, error
    connection.execute("RELEASE one")
    return outcome
