"""How long is the line? Counted only when it may be too long: a count reads all who stand in it."""

from __future__ import annotations

import math
import sqlite3

from bot.errors import QueueFull

COUNT = """
SELECT (SELECT count(*) FROM job WHERE state = 'queued') + (SELECT count(*) FROM job WHERE state = 'running'),
       (SELECT count(*) FROM job WHERE state = 'held')
"""


class Line:
    """What one writer knows of the line: how long it was at most, and which job was the newest then.

    Nobody comes into the line but as a newer job or out of the held, whoever else writes: so it is never
    longer than that and the jobs since.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """After a write that failed: what was counted in it never came true."""
        self._counted = (math.inf, 0)

    def check(self, c: sqlite3.Cursor, cap: int | None, newest: int) -> None:
        """Raises QueueFull if `cap` or more wait or run."""
        if cap is None:
            return
        most, then = self._counted
        if then <= newest and most + newest - then < cap:
            return
        waiting, held = c.execute(COUNT).fetchone()
        self._counted = (waiting + held, newest)
        if waiting >= cap:
            raise QueueFull("all", waiting, cap)
