"""Discord as the studio sees it: run, say how far, deliver the clip."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import structlog

from bot.domain.jobs import Job, State
from bot.frontends.discord.cards import GOLD, Card, tame
from bot.frontends.discord.client import client_for
from bot.frontends.discord.job_cards import button, ended_card, hidden, progress_card
from bot.frontends.discord.periodic import Rounds
from bot.frontends.discord.sender import Sent, Upload, token_lives
from bot.frontends.discord.settings import Manner
from bot.frontends.discord.status_order import Step
from bot.i18n import messages
from bot.moderation.admin_notices import Notice
from bot.pipeline.delivery import Button, Parcel, SendError
from bot.studio.studio import Studio
from generation.progress import PREVIEW, Progress, Stage
from generation.request import Kind

log = structlog.get_logger(__name__)

EDIT_EVERY, SLOW_EDIT_EVERY = 1.2, 3.0
"""Seconds between edits of one message: by its token, and through its channel, where all edits count."""
PREVIEW_EVERY = 6.0
"""A picture goes with each of these."""
LOGIN_AGAIN = (2.0, 5.0, 15.0, 60.0)


class DiscordFrontend:
    name = "discord"
    deduplicates = True  # an edit twice is an edit; a channel keeps a nonce, and is looked through before

    def __init__(self, studio: Studio, token: str, manner: Manner | None = None, **options: Any) -> None:
        self._studio = studio
        self._token = token
        self._manner = manner or Manner()
        self.client = client_for(studio, self._manner, **options)
        self._desk = self.client.desk
        self._elsewhere: dict[int, Sent] = {}
        self.ready = asyncio.Event()
        self.rounds = Rounds(self.client, self._desk, self._manner)

    async def run(self) -> None:
        """Serve until cancelled, through every loss of the network; ends if Discord refuses the token."""
        async with self.client:
            rounds = asyncio.create_task(self.rounds.run())
            try:
                await self._login()
                self.ready.set()
                await self.client.connect()
            except discord.LoginFailure:
                log.error("Discord refuses the token")  # noqa: TRY400  (a traceback would say no more)
            except discord.ConnectionClosed as closed:
                log.error("Discord closed the door", code=closed.code)  # noqa: TRY400  (as above)
            finally:
                self.ready.clear()
                rounds.cancel()

    def reached(self) -> bool:
        """Whether the gateway is open just now; discord.py itself closes one that fell silent."""
        if isinstance(self.client, discord.AutoShardedClient):
            shards = self.client.shards
            return bool(shards) and not any(shard.is_closed() for shard in shards.values())
        socket: Any = self.client.ws  # None until it first connects, whatever its type says
        return not self.client.is_closed() and socket is not None and socket.open

    async def _login(self) -> None:
        tries = 0
        while True:
            try:
                await self.client.login(self._token)
            except (aiohttp.ClientError, OSError, TimeoutError, discord.DiscordServerError) as error:
                pause = LOGIN_AGAIN[min(tries, len(LOGIN_AGAIN) - 1)]
                log.warning("cannot reach Discord", reason=type(error).__name__, again_in=pause)
                tries += 1
                await asyncio.sleep(pause)
            else:
                return

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        preview = self._preview(job, progress) if progress else None
        card = (
            progress_card(job, text, progress, preview=preview.name if preview else None)
            if progress
            else ended_card(job, text)
        )
        step = Step.WORKING if progress or job.state is State.HELD else Step.ENDED
        shown = await self._desk.board.show(
            job.id, step, lambda: self._desk.sender.edit(job.reply_to, card, preview)
        )
        if not (shown and progress):
            return None
        if preview:
            return PREVIEW_EVERY
        return EDIT_EVERY if token_lives(job.reply_to) else SLOW_EDIT_EVERY

    def _preview(self, job: Job, progress: Progress) -> Upload | None:
        """The first picture, where the operator wants it shown and the engine has left one."""
        if not self._manner.preview or progress.stage is Stage.LOADING:
            return None
        path = self._studio.house.data / "clips" / str(job.id) / PREVIEW
        return Upload(path, PREVIEW) if path.is_file() else None

    async def deliver(self, parcel: Parcel) -> str:
        job = parcel.job
        name = file_name(job, parcel.clip.path.suffix)
        card = self.clip_card(parcel, name)
        async with self._desk.board.closing(job.id):
            sent = await self._desk.sender.deliver(parcel, card, name)
        if sent.url:
            self._elsewhere[job.id] = sent
        return sent.message

    async def delivered(self, job: Job) -> None:
        """Where the clip is a message of its own, the status message points to it."""
        sent = self._elsewhere.pop(job.id, None)
        if sent is None or job.reply_to.private:
            return
        language = job.requester.language
        here = f"/{job.reply_to.chat}/" in sent.url
        text = messages.words("sent elsewhere" if here else "sent directly", language, job=job.id)
        link = f"\n{sent.url}" if here else ""
        try:
            await self._desk.sender.edit(job.reply_to, Card(body=tame(text) + link))
        except SendError as error:
            log.info("status not tidied", job=job.id, reason=str(error))

    @property
    def admin_chats(self) -> tuple[str, ...]:
        """None is known of itself: an operator names a channel, or a server's admins do."""
        return ()

    async def notify(self, chat: str, notice: Notice) -> None:
        """Word for the admins in a channel, the clip veiled until they look."""
        name = f"for-admins{notice.clip.suffix}" if notice.clip else None
        buttons = tuple(Button(messages.words(f"button.{act.verb}"), act) for act in notice.actions)
        card = Card(body=tame(notice.text), buttons=buttons, media=name, spoiler=True, colour=GOLD)
        await self._desk.sender.notify(int(chat), card, notice.clip)

    def clip_card(self, parcel: Parcel, name: str) -> Card:
        job, language = parcel.job, parcel.job.requester.language
        return Card(
            title=messages.words("ready", language, job=job.id, prompt="").rstrip(": ") + _prompt(job),
            body=tame(parcel.notice),
            facts="\n".join(filter(None, (messages.facts_line(job, language), parcel.aside))),
            spoiler=parcel.spoiler,
            buttons=self._buttons(job, parcel.buttons),
            genres=self._desk.genre_options,
            media=name,
            colour=GOLD,
            mention=job.requester.user if job.reply_to.facts.get("ping") else None,
        )

    def _buttons(self, job: Job, common: tuple[Button, ...]) -> tuple[Button, ...]:
        """What every chat has, then what this model can do with a finished clip, then the rest."""
        more = self._studio.offers(job)
        still = job.request.kind is Kind.IMAGE
        kept = tuple(button for button in common if not (still and button.action.verb == "score"))
        have = {button.action.verb for button in kept}
        verbs = [verb for verb in ("edit", *more, "recipe", "delete", "report") if verb not in have]
        return kept + tuple(button(verb, job) for verb in verbs)


def file_name(job: Job, suffix: str) -> str:
    return f"matinee-{job.id}{suffix}"


def _prompt(job: Job) -> str:
    return "" if hidden(job) else f": {messages.quoted(job.request.prompt, 200)}"
