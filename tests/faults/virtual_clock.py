"""A world in which nothing takes time but by its own clock: a month in a minute, the same every time."""

from __future__ import annotations

import asyncio
import selectors
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from bot.store.connection import Connection
from bot.store.database import FILE, Database

T = TypeVar("T")
TURN = "a transaction"


class Killed(Exception):
    """The process of this store is no more; nothing is written any longer."""


class Stuck(RuntimeError):
    """Everybody waits for somebody, and no clock will wake them."""


class _Selector(selectors.BaseSelector):
    """Instead of waiting, the clock is put forward."""

    def __init__(self, loop: Clockwork) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self._loop.now += timeout
        return []  # no socket and no thread has a word in this world

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class Clockwork(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """All that are not done, in the order in which they were made."""
        super().__init__(_Selector(self))
        self._clock_resolution = 1e-6
        self.set_task_factory(_remembered)

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]  # no caller here has types that this would lose
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Here and now: what other threads do first is nobody's to say."""
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  (it belongs to whoever awaits it)
            done.set_exception(error)
        return done


def _remembered(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    assert isinstance(loop, Clockwork)
    task = asyncio.Task(work, loop=loop, **more)
    loop.tasks[task] = None
    task.add_done_callback(loop.tasks.pop)
    return task


class Inline(Database):
    """The real database and its verbs without threads and group commit, which are proven elsewhere.

    A caller may be cancelled before its transaction and after it, as in the real one.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, AsyncExitStack())
        self.dead = False
        self._c = sqlite3.connect(self.path, isolation_level=None, factory=Connection)
        for setting in (
            "locking_mode = EXCLUSIVE",
            "foreign_keys = ON",
            "synchronous = OFF",
        ):  # no power is cut here
            self._c.execute(f"PRAGMA {setting}")

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().create_task(self._turn("BEGIN IMMEDIATE", work), name=TURN)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._turn("BEGIN", work)

    async def _turn(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        if self.dead:
            raise Killed
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
