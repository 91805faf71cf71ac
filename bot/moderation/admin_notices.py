"""Post notices to the admins' chats: held clips, reports and appeals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.domain.events import Notice

log = structlog.get_logger(__name__)


@runtime_checkable
class AdminNotifier(Protocol):
    """A frontend that can post to a chat without a request from it."""

    @property
    def admin_chats(self) -> tuple[str, ...]:
        """Where notices go if the operator configured no chat."""

    async def notify(self, chat: str, notice: Notice) -> None: ...


class AdminNotices:
    """Posts to each of `chats`, such as "discord:9"; if there are none, to each frontend's admin chats."""

    def __init__(self, frontends: Mapping[str, Any], chats: Sequence[str] = ()) -> None:
        self._frontends = frontends
        self._chats = tuple(chats)
        self._post_tasks: set[asyncio.Task[None]] = set()

    def post(self, notice: Notice) -> None:
        """Post the notice once, in the background. Undelivered reports are listed by `review list`."""
        for platform, chat in self._destinations():
            task = asyncio.create_task(self._post(platform, chat, notice))
            self._post_tasks.add(task)
            task.add_done_callback(self._post_tasks.discard)

    def _destinations(self) -> list[tuple[str, str]]:
        if self._chats:
            addresses = [chat.partition(":") for chat in self._chats]
            return [(platform, chat) for platform, _, chat in addresses]
        return [
            (platform, chat)
            for platform, frontend in self._frontends.items()
            if isinstance(frontend, AdminNotifier)
            for chat in frontend.admin_chats
        ]

    async def _post(self, platform: str, chat: str, notice: Notice) -> None:
        frontend = self._frontends.get(platform)
        if not isinstance(frontend, AdminNotifier):
            return
        try:
            await frontend.notify(chat, notice)
        except Exception as error:  # noqa: BLE001  (a failed notice must not affect the job that it is about)
            log.warning("notice not posted", chat=f"{platform}:{chat}", reason=str(error))
