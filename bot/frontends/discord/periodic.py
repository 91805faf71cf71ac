"""What is looked after every now and then: the presence, and the places of those who wait."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import structlog

from bot.domain.jobs import Job, State
from bot.frontends.discord.handlers import Desk
from bot.frontends.discord.interaction_context import PLATFORM
from bot.frontends.discord.job_cards import waiting_card
from bot.frontends.discord.sender import token_lives
from bot.frontends.discord.settings import Manner
from bot.frontends.discord.status_order import Step
from bot.i18n import messages
from bot.pipeline.delivery import SendError

log = structlog.get_logger(__name__)

AT_MOST = 8
"""Cards told anew in one round: edits are limited, and nobody reads twenty at once."""


class Rounds:
    def __init__(self, client: discord.Client, desk: Desk, manner: Manner) -> None:
        self._client: Any = client
        self._desk = desk
        self._manner = manner
        self._presence = ""
        self._places: dict[int, int] = {}  # as last told

    async def run(self) -> None:
        await self._client.wait_until_ready()
        while True:
            jobs = await self._desk.studio.waiting(100)
            await self._show_presence(len(jobs))
            await self._tell_places([job for job in jobs if job.state is State.QUEUED])
            await asyncio.sleep(self._manner.look_every)

    async def _show_presence(self, count: int) -> None:
        text = messages.words("queue.length" if count else "idle", self._manner.language, count=count)
        if text == self._presence or self._client.is_closed():
            return
        self._client.activity = discord.CustomActivity(name=text)  # a new session begins with it
        try:
            await self._client.change_presence(activity=self._client.activity)
        except (OSError, aiohttp.ClientError) as error:  # between two connections: next time then
            log.info("presence not shown", reason=type(error).__name__)
        else:
            self._presence = text

    async def _tell_places(self, queued: list[Job]) -> None:
        """Whoever has moved up since they were last told is told so."""
        places = {job.id: place for place, job in enumerate(queued)}
        moved = [job for job in queued if self._places.get(job.id, places[job.id]) != places[job.id]]
        self._places = {number: self._places.get(number, place) for number, place in places.items()}
        for job in [job for job in moved if _can_be_told(job)][:AT_MOST]:
            self._places[job.id] = places[job.id]
            await self._tell(job, places[job.id])

    async def _tell(self, job: Job, place: int) -> None:
        card = waiting_card(job, place=place, eta=await self._desk.studio.eta(job.id))
        try:
            await self._desk.board.show(
                job.id, Step.WAITING, lambda: self._desk.sender.edit(job.reply_to, card)
            )
        except SendError as error:
            log.info("place not told", job=job.id, reason=str(error))


def _can_be_told(job: Job) -> bool:
    """By a living token only: edits through a channel count against everything else that is said there."""
    return job.reply_to.platform == PLATFORM and token_lives(job.reply_to)
