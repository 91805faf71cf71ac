"""What an admin verb may do to the database: all calls of one AdminTransaction commit together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.domain.jobs import Job
from bot.domain.quota import Allowance, Balance, QuotaPlan, Tier
from bot.store import (
    admin_decisions,
    admin_queue,
    inspections,
    job_queries,
    ledger,
    outside_cancels,
    people,
    queue,
    reports,
    stats,
)
from bot.store.admin_decisions import AuditEntry, Block
from bot.store.reports import FiledReport
from bot.store.stats import Stats
from generation.errors import ExplainedError


class AdminTransaction:
    """Handed to the command of `Store.run_admin`, and valid only until that command returns."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.now = now
        self._connection = connection

    # Users and credits; `key` is Requester.key, or "pool:" and a community's key

    def knows(self, key: str) -> bool:
        return people.find_account(self._connection, key) is not None

    def tier_and_allowance(self, plan: QuotaPlan, key: str) -> tuple[Tier, Allowance]:
        """The user's tier and allowance, from the roles and the chat of their last job."""
        return admin_decisions.tier_and_allowance(self._connection, plan, key, self.now)

    def balance(self, key: str, allowance: Allowance) -> Balance:
        return ledger.balance_of(self._connection, key, allowance, self.now)

    def used_in_window(self, key: str, allowance: Allowance) -> int:
        return ledger.used_in_window(self._connection, key, allowance, self.now)

    def grant(self, key: str, credits_: int, *, note: str) -> None:
        account = people.find_or_create_account(self._connection, key, now=self.now)
        ledger.grant(self._connection, account, credits_, note=note, now=self.now)

    def reset_window(self, key: str, allowance: Allowance) -> int:
        """Put back what the user spent in the current window; returns that number of credits."""
        account = people.find_or_create_account(self._connection, key, now=self.now)
        return ledger.reset_window(self._connection, account, allowance, note="reset", now=self.now)

    def set_credits(self, key: str, credits_: int | None) -> None:
        """Credits a window for this user alone; None returns to the tier's."""
        admin_decisions.set_credits(self._connection, key, credits_)

    def set_tier(self, key: str, tier: str | None) -> None:
        """None returns to the tier that follows from roles."""
        admin_decisions.set_tier(self._connection, key, tier)

    def role_tier(self, role: str) -> str | None:
        return admin_decisions.admin_rules(self._connection).role_tiers.get(role)

    def set_role_tier(self, role: str, tier: str | None) -> None:
        """None removes the role's tier."""
        admin_decisions.set_role_tier(self._connection, role, tier)

    def block(self, key: str, *, until: float | None, reason: str) -> None:
        """Block the user and all linked users; None blocks until an admin unblocks."""
        admin_decisions.block(self._connection, key, until=until, reason=reason, now=self.now)

    def strike(self, key: str, rule: str, *, timeout_for: Callable[[int], float | None]) -> Block:
        """Record a strike and block the user; `timeout_for` is that of Store.add_strike."""
        return admin_decisions.strike(self._connection, key, rule, timeout_for=timeout_for, now=self.now)

    def is_struck_for(self, report: int) -> bool:
        """Whether the refusal that this appeal is about brought a strike at once."""
        return reports.is_struck_for(self._connection, report)

    def unblock(self, key: str) -> bool:
        """Unblock the user and all linked users; False if none of them was blocked."""
        return admin_decisions.unblock(self._connection, key)

    # The queue

    def job(self, number: int) -> Job:
        """Raises NoSuchJob."""
        return job_queries.job(self._connection, number)

    def running_then_queued(self, limit: int) -> list[Job]:
        return job_queries.running_then_queued(self._connection, limit)

    def queue_position(self, job: int) -> int | None:
        """How many queued jobs are ahead of it; None if it is not queued."""
        return job_queries.queue_position(self._connection, job)

    def set_paused(self, *, paused: bool) -> None:
        people.set_global_value(self._connection, "paused", paused)

    def set_closed(self, reason: str | None) -> None:
        """The reason why no new jobs are accepted; None accepts them again."""
        people.set_global_value(self._connection, "closed", reason)

    def cancel(self, job: int) -> Job:
        """Raises NoSuchJob or TooLate."""
        return queue.cancel(self._connection, job, now=self.now)

    def cancel_queued(self, *, person: str | None) -> list[Job]:
        """Cancel and refund all queued jobs, or those of one user."""
        return admin_queue.cancel_queued(self._connection, person=person, now=self.now)

    def count_queued(self, *, person: str | None) -> int:
        """How many jobs `cancel_queued` would cancel."""
        return len(admin_queue.queued_numbers(self._connection, person))

    def move_in_queue(self, job: int, position: int) -> None:
        """Raises NoSuchJob or TooLate."""
        admin_queue.move_in_queue(self._connection, job, position)

    def add_outside_cancels(self, jobs: Iterable[int]) -> None:
        """Ask the running process to stop these jobs and to report their end to their users."""
        outside_cancels.add(self._connection, jobs)

    # Held jobs and reports

    def held_jobs(self) -> list[Job]:
        return admin_queue.held_jobs(self._connection)

    def detection(self, job: int) -> tuple[str, float] | None:
        """What the inspection of the clip detected, and how certain it was."""
        return inspections.detection(self._connection, job)

    def release(self, job: int) -> Job:
        """Send the held clip without another inspection, or queue a held job without a clip again."""
        released = admin_queue.release(self._connection, job)
        if released.clip:
            inspections.mark_released(self._connection, job, self.now)
        return released

    def reject(self, job: int, error: ExplainedError) -> Job:
        """Never send the held job; it fails with `error` and is refunded."""
        return admin_queue.reject(self._connection, job, error, now=self.now)

    def open_reports(self, limit: int) -> list[FiledReport]:
        """The newest reports and appeals that no admin has closed."""
        return reports.open_reports(self._connection, limit)

    def close_report(self, number: int) -> FiledReport:
        """Raises NoSuchReport."""
        return reports.close_report(self._connection, number, self.now)

    # Rules

    def enable_model(self, model: str) -> None:
        admin_decisions.remove_from_global_set(self._connection, "disabled_models", model)

    def disable_model(self, model: str) -> None:
        admin_decisions.add_to_global_set(self._connection, "disabled_models", model)

    def set_default_model(self, model: str) -> None:
        people.set_global_value(self._connection, "default_model", model)

    def allow_channel(self, channel: str) -> None:
        admin_decisions.remove_from_global_set(self._connection, "denied_channels", channel)
        admin_decisions.add_to_global_set(self._connection, "allowed_channels", channel)

    def deny_channel(self, channel: str) -> None:
        admin_decisions.remove_from_global_set(self._connection, "allowed_channels", channel)
        admin_decisions.add_to_global_set(self._connection, "denied_channels", channel)

    def forget_channel(self, channel: str) -> None:
        admin_decisions.remove_from_global_set(self._connection, "allowed_channels", channel)
        admin_decisions.remove_from_global_set(self._connection, "denied_channels", channel)

    def announce(self, words: str, *, until: float) -> None:
        """Replaces the current announcement."""
        admin_decisions.announce(self._connection, words, now=self.now, until=until)

    # Statistics and audit

    def stats(self, since: float) -> Stats:
        return stats.stats(self._connection, since)

    def add_audit_entry(self, *, admin: str, verb: str, details: Mapping[str, Any]) -> None:
        admin_decisions.add_audit_entry(
            self._connection, admin=admin, verb=verb, details=details, now=self.now
        )

    def audit_entries(self, limit: int) -> list[AuditEntry]:
        """Newest first."""
        return admin_decisions.audit_entries(self._connection, limit)
