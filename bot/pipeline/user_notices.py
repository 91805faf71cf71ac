"""Send a user a private message that answers no command, for example about a link to another platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.domain.events import Notice

log = structlog.get_logger(__name__)


@runtime_checkable
class UserNotifier(Protocol):
    """A frontend that can write to a user in private."""

    async def notify_user(self, user: str, notice: Notice) -> None: ...


class UserNotices:
    def __init__(self, frontends: Mapping[str, Any]) -> None:
        self._frontends = frontends
        self._send_tasks: set[asyncio.Task[None]] = set()

    def post(self, key: str, notice: Notice) -> None:
        """Send the notice once, in the background; a user who cannot be reached misses it."""
        task = asyncio.create_task(self._send(key, notice))
        self._send_tasks.add(task)
        task.add_done_callback(self._send_tasks.discard)

    async def _send(self, key: str, notice: Notice) -> None:
        platform, _, user = key.partition(":")
        frontend = self._frontends.get(platform)
        if not isinstance(frontend, UserNotifier):
            log.info("user cannot be notified", who=key, reason="no such chat is running")
            return
        try:
            await frontend.notify_user(user, notice)
        except Exception as error:  # noqa: BLE001  (the change that it is about is made already)
            log.info("user not notified", who=key, reason=str(error))
