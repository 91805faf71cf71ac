"""Group commit: everyone who is waiting to write shares one transaction, and is answered after its commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
MOST_AT_ONCE = 256


async def in_thread(connection: aiosqlite.Connection, work: Work[T]) -> T:
    """Run `work` in the connection's own thread: a transaction in one hop cannot be cancelled halfway."""
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001  (the public calls take one statement each)
    return result


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None


class GroupWriter:
    def __init__(
        self, connection: aiosqlite.Connection, explain: Callable[[sqlite3.Error], Exception]
    ) -> None:
        """`explain` turns SQLite's own failures into errors that a person can be told."""
        self._connection = connection
        self._explain = explain
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._server = asyncio.create_task(self._serve())

    async def write(self, work: Work[T]) -> T:
        """What `work` returned, once it is safe on the disk. A caller that stops waiting hurts nobody."""
        if self._closing:
            raise RuntimeError("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, answer))
        self._wake.set()
        return await answer

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
            for one in self._waiting:
                one.answer.cancel()

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MOST_AT_ONCE:
            one = self._waiting.popleft()
            if not one.answer.done():  # a caller that left before its turn wants nothing written
                batch.append(one)
        return batch

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        works = [one.work for one in batch]
        try:
            outcomes = await in_thread(self._connection, lambda connection: _transaction(connection, works))
        except sqlite3.Error as error:
            outcomes = [_Outcome(error=self._explain(error)) for _ in batch]
        except asyncio.CancelledError:
            for one in batch:
                one.answer.cancel()
            raise
        for one, outcome in zip(batch, outcomes, strict=True):
            self._tell(one.answer, outcome)

    def _tell(self, answer: asyncio.Future[Any], outcome: _Outcome) -> None:
        if answer.done():
            return
        if isinstance(outcome.error, sqlite3.Error):
            answer.set_exception(self._explain(outcome.error))
        elif outcome.error is not None:
            answer.set_exception(outcome.error)
        else:
            answer.set_result(outcome.value)


def _transaction(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[_Outcome]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_apart(connection, work) for work in works]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return outcomes


def _apart(connection: sqlite3.Connection, work: Work[Any]) -> _Outcome:
    connection.execute("SAVEPOINT one")
    try:
        outcome = _Outcome(value=work(connection))
    except Exception as error:  # it belongs to this caller alone, and goes there
        if not connection.in_transaction:  # SQLite gave the whole transaction up: full disk, failed read
            raise
        connection.execute("ROLLBACK TO one")
        outcome = _Outcome(error=error)
    connection.execute("RELEASE one")
    return outcome
