"""Parse and perform admin verbs. Every frontend uses the same verbs; each change leaves an audit entry."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.admin.arguments import CONFIRMATION, AdminContext, AdminResult, AdminVerb, VerbParam
from bot.admin.verbs import VERBS
from bot.domain.errors import BadArgument, NotAllowed, UnknownVerb
from bot.domain.events import EventBus, JobCancelRequested, JobEnded, QueueChanged
from bot.domain.jobs import Job, Requester
from bot.domain.quota import QuotaPlan
from bot.i18n import messages
from bot.store.store import AdminTransaction, Store
from generation.request import closest_match

__all__ = ["VERBS", "AdminCommands", "AdminResult", "AdminVerb"]


class AdminCommands:
    """Performs admin verbs for every frontend."""

    def __init__(
        self,
        *,
        store: Store,
        quota_plan: QuotaPlan,
        models: Sequence[str],
        platforms: Sequence[str] = (),
        events: EventBus | None = None,
    ) -> None:
        """Keys of users and chats must begin with one of `platforms` or with the admin's own.

        Without `events`, as in a terminal, ended jobs are recorded for a running instance to read.
        """
        self._store = store
        self._quota_plan = quota_plan
        self._models = tuple(models)
        self._platforms = tuple(platforms)
        self._events = events

    async def perform(self, line: str, admin: Requester) -> AdminResult:
        """Perform the verb in one transaction with its audit entry. Raises a UserError if that fails."""
        verb, arguments = parse_line(line)
        if not admin.admin:
            raise NotAllowed(verb.name)
        if verb.preview is not None:
            if arguments[-1:] == [CONFIRMATION]:
                arguments = arguments[:-1]
            else:
                verb = replace(verb, handler=verb.preview, read_only=True)

        def run(transaction: AdminTransaction) -> tuple[AdminResult, list[Job]]:
            context = AdminContext(transaction, admin, self._quota_plan, self._models, self._platforms)
            values = _read_arguments(verb, arguments, context)
            answer = verb.handler(context, *values)
            if not verb.read_only:
                names = [param.name for param in verb.params]
                details = dict(zip(names, values, strict=False))
                transaction.add_audit_entry(admin=admin.key, verb=verb.name, details=details)
            if self._events is None and answer.ended_jobs:
                transaction.add_outside_cancels(answer.ended_jobs)
            return answer, [transaction.job(job_id) for job_id in answer.ended_jobs]

        answer, ended = await self._store.run_admin(run, read_only=verb.read_only)
        if self._events is not None:
            for job in ended:
                self._events.publish(JobCancelRequested(job.id))
                self._events.publish(JobEnded(job))
            if not verb.read_only:
                self._events.publish(QueueChanged())
        return answer


def parse_line(line: str) -> tuple[AdminVerb, list[str]]:
    try:
        tokens = shlex.split(line.removeprefix("/").removeprefix("admin "))
    except ValueError:  # an unclosed quote
        tokens = line.split()
    for length in (2, 1):
        verb = VERBS.get(" ".join(tokens[:length]).lower())
        if verb:
            return verb, tokens[length:]
    name = messages.sanitized(" ".join(tokens[:2]))
    raise UnknownVerb(name, closest_match(name, tuple(VERBS)), tuple(VERBS))


def _read_arguments(verb: AdminVerb, tokens: Sequence[str], context: AdminContext) -> list[Any]:
    values: list[Any] = []
    remaining = list(tokens)
    for param in verb.params:
        if remaining and param.only_if_matches and not param.only_if_matches.match(remaining[0]):
            values.append(None)
            continue
        text = " ".join(remaining) if param.takes_rest else remaining[0] if remaining else ""
        remaining = [] if param.takes_rest else remaining[1:]
        if not text and param.optional:
            break
        values.append(_read_argument(verb, param, text, context))
    if remaining:
        raise BadArgument("more", messages.sanitized(" ".join(remaining)), verb.usage)
    return values


def _read_argument(verb: AdminVerb, param: VerbParam, text: str, context: AdminContext) -> Any:
    try:
        return param.parse(text, context)
    except (ValueError, KeyError, OverflowError):
        raise BadArgument(param.name, messages.sanitized(text), verb.usage) from None
