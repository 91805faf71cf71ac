"""The Discord frontend: runs the client, shows the status of jobs, delivers clips."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import structlog

from bot.domain.events import Notice
from bot.domain.jobs import Job, JobState
from bot.frontends.common.buttons import INFO_VERBS, clip_buttons, notice_buttons
from bot.frontends.discord.cards import GOLD, Card, escape_markup
from bot.frontends.discord.client import create_client
from bot.frontends.discord.job_cards import ended_card, progress_card
from bot.frontends.discord.periodic import PeriodicUpdates
from bot.frontends.discord.sender import SentMessage, Upload, token_is_valid
from bot.frontends.discord.settings import FrontendSettings
from bot.frontends.discord.status_order import StatusStep
from bot.i18n import messages
from bot.pipeline.delivery import OutgoingClip, SendError
from bot.studio.access import has_hidden_prompt
from bot.studio.studio import Studio, Viewer
from generation.progress import Progress, Stage

log = structlog.get_logger(__name__)

EDIT_EVERY, SLOW_EDIT_EVERY = 1.2, 3.0
"""Seconds between edits of one message: by its token, and through its channel.

A channel has one rate limit for the edits of all messages, so these are slower.
"""
PREVIEW_EVERY = 6.0
"""Seconds between edits that upload a preview."""
LOGIN_RETRY_SECONDS = (2.0, 5.0, 15.0, 60.0)


class DiscordFrontend:
    name = "discord"
    deduplicates = True  # an edit may repeat; a channel checks the nonce, and its history is searched

    def __init__(
        self, studio: Studio, token: str, settings: FrontendSettings | None = None, **options: Any
    ) -> None:
        self._studio = studio
        self._token = token
        self._settings = settings or FrontendSettings()
        self.client = create_client(studio, self._settings, **options)
        self._handlers = self.client.handlers
        self._separate_messages: dict[int, SentMessage] = {}
        self.ready = asyncio.Event()
        self.periodic_updates = PeriodicUpdates(self.client, self._handlers, self._settings)

    async def run(self) -> None:
        """Serve until cancelled and reconnect after a network failure; ends if Discord refuses the token."""
        async with self.client:
            updates_task = asyncio.create_task(self.periodic_updates.run())
            try:
                await self._login()
                self.ready.set()
                await self.client.connect()
            except discord.LoginFailure:
                log.error("Discord refuses the token")  # noqa: TRY400  (a traceback adds nothing)
            except discord.ConnectionClosed as closed:
                log.error("Discord closed the connection", code=closed.code)  # noqa: TRY400  (as above)
            finally:
                self.ready.clear()
                updates_task.cancel()

    def is_connected(self) -> bool:
        """Whether the gateway is open; discord.py closes a connection without heartbeats."""
        if isinstance(self.client, discord.AutoShardedClient):
            shards = self.client.shards
            return bool(shards) and not any(shard.is_closed() for shard in shards.values())
        socket: Any = self.client.ws  # None before the first connection, although its type excludes that
        return not self.client.is_closed() and socket is not None and socket.open

    async def _login(self) -> None:
        tries = 0
        while True:
            try:
                await self.client.login(self._token)
            except (aiohttp.ClientError, OSError, TimeoutError, discord.DiscordServerError) as error:
                pause = LOGIN_RETRY_SECONDS[min(tries, len(LOGIN_RETRY_SECONDS) - 1)]
                log.warning("cannot reach Discord", reason=type(error).__name__, retry_in=pause)
                tries += 1
                await asyncio.sleep(pause)
            else:
                return

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        preview = await self._preview(job, progress) if progress else None
        card = (
            progress_card(job, text, progress, preview=preview.name if preview else None)
            if progress
            else ended_card(job, text)
        )
        step = StatusStep.WORKING if progress or job.state is JobState.HELD else StatusStep.ENDED
        shown = await self._handlers.status_order.edit_if_current(
            job.id, step, lambda: self._handlers.sender.edit(job.reply_to, card, preview)
        )
        if not (shown and progress):
            return None
        if preview:
            return PREVIEW_EVERY
        return EDIT_EVERY if token_is_valid(job.reply_to) else SLOW_EDIT_EVERY

    async def _preview(self, job: Job, progress: Progress) -> Upload | None:
        """Return the preview picture, if the operator enabled previews and the engine wrote one."""
        if not self._settings.preview or progress.stage is Stage.LOADING:
            return None
        path = await self._studio.preview_file(job.id, Viewer.owner_of(job))
        return Upload(path, path.name) if path else None

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        job = outgoing.job
        name = file_name(job, outgoing.clip.path.suffix)
        card = self.clip_card(outgoing, name)
        async with self._handlers.status_order.final_edit(job.id):
            sent = await self._handlers.sender.send_clip(outgoing, card, name)
        if sent.url:
            self._separate_messages[job.id] = sent
        return sent.message_id

    async def after_delivery(self, job: Job) -> None:
        """Let the status message point to the clip, where that is a separate message."""
        sent = self._separate_messages.pop(job.id, None)
        if sent is None or job.reply_to.private:
            return
        language = job.requester.language
        same_channel = f"/{job.reply_to.chat}/" in sent.url
        text = messages.translate("sent.below" if same_channel else "sent.private", language, job=job.id)
        link = f"\n{sent.url}" if same_channel else ""
        try:
            await self._handlers.sender.edit(job.reply_to, Card(body=escape_markup(text) + link))
        except SendError as error:
            log.info("status message not updated", job=job.id, reason=str(error))

    @property
    def admin_chats(self) -> tuple[str, ...]:
        """None by default: the operator or the admins of a server choose a channel."""
        return ()

    async def notify(self, chat: str, notice: Notice) -> None:
        """Send a notice to admins in a channel, its clip behind a spoiler."""
        name = f"for-admins{notice.clip.suffix}" if notice.clip else None
        card = Card(
            body=escape_markup(notice.text),
            buttons=notice_buttons(notice.actions),
            media=name,
            spoiler=True,
            colour=GOLD,
        )
        await self._handlers.sender.notify(int(chat), card, notice.clip)

    async def notify_user(self, user: str, notice: Notice) -> None:
        """Send a notice as a direct message; raises a SendError if the user accepts none."""
        card = Card(body=escape_markup(notice.text), buttons=notice_buttons(notice.actions, notice.language))
        await self._handlers.sender.notify_user(int(user), card)

    def clip_card(self, outgoing: OutgoingClip, name: str) -> Card:
        job, language = outgoing.job, outgoing.job.requester.language
        return Card(
            title=messages.translate("ready", language, job=job.id, prompt="").rstrip(": ")
            + _prompt_suffix(job),
            body=escape_markup(outgoing.announcement),
            facts="\n".join(filter(None, (messages.summary_line(job, language), outgoing.prompt_note))),
            spoiler=outgoing.spoiler,
            buttons=clip_buttons(
                job,
                outgoing.buttons,
                ("edit", *self._studio.available_derivatives(job), *INFO_VERBS),
            ),
            genres=self._handlers.genre_options,
            media=name,
            colour=GOLD,
            mention=job.requester.user if job.reply_to.facts.get("ping") else None,
        )


def file_name(job: Job, suffix: str) -> str:
    return f"matinee-{job.id}{suffix}"


def _prompt_suffix(job: Job) -> str:
    return "" if has_hidden_prompt(job) else f": {messages.sanitized(job.request.prompt, 200)}"
