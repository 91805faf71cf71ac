"""An event loop on a virtual clock: a month passes in a minute, and every run is the same."""

from __future__ import annotations

import asyncio
import selectors
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from bot.store.connection import Connection
from bot.store.database import DATABASE_FILE, Database

T = TypeVar("T")
TRANSACTION_TASK_NAME = "a transaction"


class StoreKilled(Exception):
    """The simulated process of this store was killed; nothing more is written."""


class Deadlocked(RuntimeError):
    """Every task waits and no timer is scheduled."""


class _ClockSelector(selectors.BaseSelector):
    """Advances the clock instead of waiting."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlocked
        self._loop.now += timeout
        return []  # neither sockets nor threads are used

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        self.pending_tasks: dict[asyncio.Task[Any], None] = {}
        """The unfinished tasks, in the order of their creation."""
        super().__init__(_ClockSelector(self))
        self._clock_resolution = 1e-6
        self.set_task_factory(_create_tracked_task)

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]  # the callers here need no precise types
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Run `func` at once: with real threads, the order would not be deterministic."""
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  (the awaiting task gets it)
            done.set_exception(error)
        return done


def _create_tracked_task(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualClockLoop)
    task = asyncio.Task(work, loop=loop, **more)
    loop.pending_tasks[task] = None
    task.add_done_callback(loop.pending_tasks.pop)
    return task


class InlineDatabase(Database):
    """The real database without threads and group commit, which other tests cover.

    As in the real one, a caller may be cancelled before and after its transaction.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / DATABASE_FILE, AsyncExitStack())
        self.killed = False
        self._c = sqlite3.connect(self.path, isolation_level=None, factory=Connection)
        self._c.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._c.execute("PRAGMA foreign_keys = ON")
        self._c.execute("PRAGMA synchronous = OFF")  # power cuts are tested elsewhere

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().create_task(
            self._run_transaction("BEGIN IMMEDIATE", work), name=TRANSACTION_TASK_NAME
        )

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run_transaction("BEGIN", work)

    async def _run_transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        if self.killed:
            raise StoreKilled
        self._c.execute(begin)
        try:
            result = work(self._c)
            self._c.execute("COMMIT")
        except BaseException:
            if self._c.in_transaction:
                self._c.execute("ROLLBACK")
            raise
        await asyncio.sleep(0)
        return result

    async def close(self) -> None:
        self._c.close()
