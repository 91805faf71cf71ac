"""Return the credits of a job that ended without a clip."""

from __future__ import annotations

import sqlite3

from bot.store import ledger, links, payments

RETURNED_GRANTS = """
SELECT account, credits FROM ledger
WHERE job = ? AND kind = 'refund' AND purse = 'granted' AND credits > 0 AND id > ?
"""


def refund_job(c: sqlite3.Connection, job: int, now: float) -> None:
    """Return the credits to the purse and window that paid, so that a refund adds none to a later window.

    Granted credits follow a user who has joined another account since, and pay first what the account owes
    for refunded payments.
    """
    newest: int = c.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()[0]
    ledger.refund(c, job, now)
    for row in c.execute(RETURNED_GRANTS, (job, newest)).fetchall():
        account = links.forward_to_joined_account(c, row["account"], row["credits"], now)
        payments.collect_owed(c, account, row["credits"], job=job, now=now)
