"""What one writer knows without looking: how long the line is, and what each account has spent, at most.

Both are counted only when they may matter: a count reads all who stand in the line, and all that an account
has paid in its window.
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
    """Whoever else writes, a line grows and credits are spent only by a newer job, or one out of the held.

    So the line is never longer than it was, the held counted in, and the jobs since; and as long as every job
    since is this writer's own, it knows who paid.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """After a write was undone: what was counted in it never came true."""
        self._newest = 0
        self._queue_bound = (math.inf, 0)
        self._spent: dict[int, tuple[Window | None, float]] = {}

    def note_newest_job(self, newest: int) -> None:
        """Before all else: which job is the newest now."""
        if newest != self._newest or len(self._spent) > MAX_ACCOUNTS:
            self._newest, self._spent = newest, {}

    def note_own_job(self, number: int) -> None:
        """This writer's own job has become the newest."""
        self._newest = number

    def check_queue_length(self, c: sqlite3.Cursor, cap: int | None) -> None:
        """Raises QueueFull if `cap` or more wait or run."""
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
        """Does the account's window, of so many credits, surely hold this cost? If so, it is spent."""
        cached_window, spent = self._spent.get(account, UNKNOWN)
        if cached_window != window or spent + cost > credits_:
            return False
        self._spent[account] = (window, spent + cost)
        return True

    def set_spent(self, account: int, window: Window, credits_: int) -> None:
        """It was counted: so much at most."""
        self._spent[account] = (window, credits_)
