"""The one door for admin verbs: the same words in any chat and terminal, each act with its audit row."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from bot.admin.arguments import Answer, Desk, Param, Verb
from bot.admin.verbs import VERBS
from bot.domain.errors import BadArgument, NotAllowed, UnknownVerb
from bot.domain.jobs import Requester
from bot.domain.quota import Plan
from bot.i18n import messages
from bot.store import admin_state, cancel_outbox
from bot.store.store import Store
from generation.request import near

__all__ = ["VERBS", "Admin", "Answer", "Verb"]


class Admin:
    """The one door for admin verbs, whatever chat or terminal they come from."""

    def __init__(
        self,
        *,
        store: Store,
        plan: Plan,
        models: Sequence[str],
        on_end: Callable[[int], None] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_end` sees to a job that was ended; without it word is left for the studio beside us."""
        self._store = store
        self._plan = plan
        self._models = tuple(models)
        self._on_end = on_end
        self._on_change = on_change

    async def perform(self, line: str, admin: Requester) -> Answer:
        """Do what the line says, in one transaction with its audit row; raises a UserError if it cannot."""
        verb, given = parse(line)
        if not admin.admin:
            raise NotAllowed(verb.name)

        def act(c: sqlite3.Connection, now: float) -> Answer:
            desk = Desk(c, now, admin, self._plan, self._models)
            values = _arguments(verb, given, desk)
            answer = verb.act(desk, *values)
            if not verb.looks:
                names = [param.name for param in verb.params]
                details = dict(zip(names, values, strict=False))
                admin_state.write_down(c, admin=admin.key, verb=verb.name, details=details, now=now)
            if self._on_end is None and answer.ended:
                cancel_outbox.leave(c, answer.ended)
            return answer

        answer = await (self._store.look(act) if verb.looks else self._store.act(act))
        if self._on_end is not None:
            for job in answer.ended:
                self._on_end(job)
        if not verb.looks:
            self._on_change()
        return answer


def parse(line: str) -> tuple[Verb, list[str]]:
    try:
        given = shlex.split(line.removeprefix("/").removeprefix("admin "))
    except ValueError:  # a quote without its pair
        given = line.split()
    for length in (2, 1):
        verb = VERBS.get(" ".join(given[:length]).lower())
        if verb:
            return verb, given[length:]
    asked = messages.quoted(" ".join(given[:2]))
    raise UnknownVerb(asked, near(asked, tuple(VERBS)), tuple(VERBS))


def _arguments(verb: Verb, given: Sequence[str], desk: Desk) -> list[Any]:
    values: list[Any] = []
    left = list(given)
    for param in verb.params:
        if left and param.skipped_by and not param.skipped_by.match(left[0]):
            values.append(None)
            continue
        text = " ".join(left) if param.rest else left[0] if left else ""
        left = [] if param.rest else left[1:]
        if not text and param.optional:
            break
        values.append(_read(verb, param, text, desk))
    if left:
        raise BadArgument("more", messages.quoted(" ".join(left)), verb.usage)
    return values


def _read(verb: Verb, param: Param, text: str, desk: Desk) -> Any:
    try:
        return param.read(text, desk)
    except (ValueError, KeyError, OverflowError):
        raise BadArgument(param.name, messages.quoted(text), verb.usage) from None
