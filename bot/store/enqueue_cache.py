"""Upper bounds that one writer keeps: of the queue's length, and of what each account has spent.

Both are counted only when the bound reaches a limit, because counting reads every queued job, or every
ledger entry of the account's window.
"""

from __future__ import annotations

import math
import sqlite3

from bot.domain.errors import QueueFull

COUNT_QUEUE = """
SELECT (SELECT count(*) FROM job WHERE state = 'queued') + (SELECT count(*) FROM job WHERE state = 'running'),
       (SELECT count(*) FROM job WHERE state = 'held')
"""

Window = tuple[float, float]
MAX_ACCOUNTS = 10_000
UNKNOWN: tuple[Window | None, float] = (None, math.inf)


class EnqueueCache:
    """Valid also while another process writes.

    The queue grows only by newer jobs and by released ones, so it is never longer than the last count, with
    held jobs included, plus the number of jobs since. Credits are spent only by newer jobs, so the spent
    credits stay known as long as every job since then is this writer's own.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything. Call it after a rollback: the bounds may count changes that were undone."""
        self._newest = 0
        self._queue_bound = (math.inf, 0)
        self._spent: dict[int, tuple[Window | None, float]] = {}

    def note_newest_job(self, newest: int) -> None:
        """Call this first, with the highest job number in the database."""
        if newest != self._newest or len(self._spent) > MAX_ACCOUNTS:
            self._newest, self._spent = newest, {}

    def note_own_job(self, number: int) -> None:
        """Call this after this writer inserted a job."""
        self._newest = number

    def check_queue_length(self, c: sqlite3.Cursor, cap: int | None) -> None:
        """Raises QueueFull if `cap` or more jobs are queued or running."""
        if cap is None:
            return
        upper_bound, newest_at_count = self._queue_bound
        if newest_at_count <= self._newest and upper_bound + self._newest - newest_at_count < cap:
            return
        waiting, held = c.execute(COUNT_QUEUE).fetchone()
        self._queue_bound = (waiting + held, self._newest)
        if waiting >= cap:
            raise QueueFull("all", waiting, cap)

    def try_spend(self, account: int, window: Window, cost: int, credits_: int) -> bool:
        """Spend the cost if the account's window of `credits_` certainly covers it; False if unknown."""
        cached_window, spent = self._spent.get(account, UNKNOWN)
        if cached_window != window or spent + cost > credits_:
            return False
        self._spent[account] = (window, spent + cost)
        return True

    def set_spent(self, account: int, window: Window, credits_: int) -> None:
        """Store the counted upper bound of the credits that were spent in the window."""
        self._spent[account] = (window, credits_)
