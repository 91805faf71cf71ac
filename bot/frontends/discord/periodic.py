"""Periodic updates: the presence of the bot, and the queue positions of waiting jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import aiohttp
import discord
import structlog

from bot.domain.jobs import Job
from bot.frontends.discord.handlers import InteractionHandlers
from bot.frontends.discord.interaction_context import PLATFORM
from bot.frontends.discord.job_cards import waiting_card
from bot.frontends.discord.sender import token_is_valid
from bot.frontends.discord.settings import FrontendSettings
from bot.frontends.discord.status_order import StatusStep
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.studio.studio import Viewer

log = structlog.get_logger(__name__)

MAX_EDITS_PER_ROUND = 8
"""Cards edited in one round, as Discord limits the rate of edits."""


class PeriodicUpdates:
    def __init__(
        self, client: discord.Client, handlers: InteractionHandlers, settings: FrontendSettings
    ) -> None:
        self._client: Any = client
        self._handlers = handlers
        self._settings = settings
        self._shown_presence = ""
        self._shown_positions: dict[int, int] = {}  # by job, as last shown

    async def run(self) -> None:
        await self._client.wait_until_ready()
        while True:
            status = await self._handlers.studio.queue_status(PLATFORM)
            await self._show_presence(status.length)
            await self._update_positions(status.queued)
            await asyncio.sleep(self._settings.update_interval)

    async def _show_presence(self, count: int) -> None:
        text = messages.translate(
            "queue.length" if count else "presence.idle", self._settings.language, count=count
        )
        if text == self._shown_presence or self._client.is_closed():
            return
        self._client.activity = discord.CustomActivity(name=text)  # used when a new session is identified
        try:
            await self._client.change_presence(activity=self._client.activity)
        except (OSError, aiohttp.ClientError) as error:  # not connected: try again in the next round
            log.info("presence not shown", reason=type(error).__name__)
        else:
            self._shown_presence = text

    async def _update_positions(self, queued: Collection[tuple[int, Job]]) -> None:
        """Edit the cards of jobs that have moved up since their position was last shown."""
        positions = {job.id: position for position, job in queued}
        moved = [job for position, job in queued if self._shown_positions.get(job.id, position) != position]
        self._shown_positions = {
            number: self._shown_positions.get(number, position) for number, position in positions.items()
        }
        for job in [job for job in moved if _has_valid_token(job)][:MAX_EDITS_PER_ROUND]:
            self._shown_positions[job.id] = positions[job.id]
            await self._update_position(job, positions[job.id])

    async def _update_position(self, job: Job, queue_position: int) -> None:
        eta = await self._handlers.studio.eta(job.id, Viewer.owner_of(job))
        card = waiting_card(job, queue_position=queue_position, eta=eta)
        try:
            await self._handlers.status_order.edit_if_current(
                job.id, StatusStep.WAITING, lambda: self._handlers.sender.edit(job.reply_to, card)
            )
        except SendError as error:
            log.info("queue position not updated", job=job.id, reason=str(error))


def _has_valid_token(job: Job) -> bool:
    """Whether the job can be edited by token: edits through a channel would use up its rate limit."""
    return token_is_valid(job.reply_to)
