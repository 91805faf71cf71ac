"""The commands: each reads its words, asks the studio and answers."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from telegram.error import TelegramError

from bot import messages
from bot.admin import VERBS, Answer
from bot.errors import PERSONAL, NoClipMeant, NotAllowed, PictureMissing
from bot.frontends.telegram import options, pictures, taste
from bot.frontends.telegram.keyboards import for_status, genre_wall
from bot.frontends.telegram.menu import EVERYBODY
from bot.frontends.telegram.parcels import Sent
from bot.frontends.telegram.places import Place
from bot.frontends.telegram.recipe import write
from bot.frontends.telegram.till import Till
from bot.frontends.telegram.voice import Voice
from bot.job import Job, Requester, State
from bot.studio import Studio, Ticket
from generation.errors import NotOffered, PromptEmpty, UnknownChoice
from generation.request import Kind, Wish, near

if TYPE_CHECKING:
    from telegram import Message

log = structlog.get_logger(__name__)


@dataclass
class Asked:
    """One command as it was written: who, where, which words, and the message itself."""

    place: Place
    words: str
    message: Message
    name: str = ""


Perform = Callable[[str, Requester], Awaitable[Answer]]
Command = Callable[[Asked], Awaitable[None]]


class Desk:
    def __init__(self, *, studio: Studio, voice: Voice, limit: int) -> None:
        self.studio = studio
        self.voice = voice
        self.limit = limit
        self.statuses: dict[int, str] = {}  # of jobs that were claimed before their status message was known
        self.perform: Perform | None = studio.admin.perform
        self.till: Till | None = None
        self.commands: dict[str, Command] = {
            "video": self.video,
            "image": self.image,
            "animate": self.animate,
            "music": self.music,
            "queue": self.queue,
            "cancel": self.cancel,
            "history": self.history,
            "quota": self.quota,
            "settings": self.settings,
            "models": self.models,
            "recipe": self.recipe,
            "help": self.help,
            "start": self.start,
            "privacy": self.privacy,
            "admin": self.admin,
            "buy": self.buy,
        }

    async def serve(self, name: str, asked: Asked) -> None:
        """Do what was asked; what cannot be done is told in one sentence."""
        command = self.commands.get(name)
        try:
            if command is None:
                meant = near(name, EVERYBODY)
                raise UnknownChoice("command", f"/{name}", meant and f"/{meant}")
            await command(replace(asked, name=name))
        except PERSONAL as error:
            await self.tell(asked.place, messages.explain(error, asked.place.language))

    async def tell(self, place: Place, text: str, *, markup: bool = False) -> None:
        await self.voice.reply(place.reply_to(self.limit), text, markup=markup)

    async def video(self, asked: Asked) -> None:
        await self._make(asked, Kind.VIDEO)

    async def image(self, asked: Asked) -> None:
        await self._make(asked, Kind.IMAGE)

    async def animate(self, asked: Asked) -> None:
        picture = await self._picture(asked)
        wish = self._read(asked, Kind.ANIMATE)
        await self._submit(asked.place, replace(wish, image=picture))

    async def music(self, asked: Asked) -> None:
        """In reply to a clip, or with its number: new music for it; without words, the wall of genres."""
        words, job = await self._which(asked)
        if not words:
            wall = genre_wall(job.id, self.studio.genres, asked.place.language)
            text = messages.words("music.choose", asked.place.language, job=job.id)
            await self.voice.reply(asked.place.reply_to(self.limit), text, keyboard=wall)
            return
        wish = options.read(words, genres=tuple(self.studio.genres)).music
        where = asked.place.reply_to(self.limit)
        ticket = await self.studio.rescore(
            job.id, wish, asked.place.requester, where, update=asked.place.update
        )
        await self.announce(ticket, asked.place.language)

    async def queue(self, asked: Asked) -> None:
        waiting = await self.studio.waiting()
        mine = [job for job in waiting if job.requester.key == asked.place.requester.key]
        language = asked.place.language
        key = "queue.all" if waiting else "queue.empty"
        lines = [messages.words(key, language, count=len(waiting))]
        lines += [_line(job, language) for job in mine]
        await self.tell(asked.place, "\n".join(lines))

    async def cancel(self, asked: Asked) -> None:
        """The one with the number, the one replied to, or the newest of mine that still waits."""
        _, job = await self._which(asked, waiting=True)
        done = await self.studio.cancel(job.id, asked.place.requester)
        text = messages.ended(done, asked.place.language)
        if not await self.voice.show(self.with_status(done), text, None):
            await self.tell(asked.place, text)

    async def history(self, asked: Asked) -> None:
        jobs = await self.studio.history(asked.place.requester)
        language = asked.place.language
        lines = [_line(job, language) for job in jobs] or [messages.words("history.empty", language)]
        await self.tell(asked.place, "\n".join(lines))

    async def quota(self, asked: Asked) -> None:
        balance = await self.studio.balance(asked.place.requester)
        await self.tell(asked.place, messages.balance(balance, asked.place.language))

    async def settings(self, asked: Asked) -> None:
        if asked.words.split()[:1] == ["link"]:
            done = await self.studio.link_up(asked.place.requester, asked.words.removeprefix("link"))
            language = asked.place.language
            await self.tell(asked.place, messages.linked(code=done.code, other=done.other, language=language))
            return
        key = await self._settings_key(asked)
        chosen = await self.studio.settings(key)
        text, keyboard = taste.page(chosen, asked.place.language)
        await self.voice.reply(asked.place.reply_to(self.limit), text, keyboard=keyboard)

    async def models(self, asked: Asked) -> None:
        lines = [
            messages.words(
                "models.line",
                asked.place.language,
                name=name,
                title=preset.title,
                seconds=f"{preset.limits.max_seconds:g}",
                cost=f"{preset.cost:g}",
            )
            for name, preset in self.studio.presets.items()
        ]
        await self.tell(asked.place, "\n".join(lines))

    async def recipe(self, asked: Asked) -> None:
        _, job = await self._which(asked)
        await self.tell(asked.place, f"<code>{html.escape(write(job.request))}</code>", markup=True)

    async def help(self, asked: Asked) -> None:
        await self.tell(asked.place, messages.words("help.telegram", asked.place.language))

    async def start(self, asked: Asked) -> None:
        """A clip that was made here, if there is one, and two things to do next."""
        language = asked.place.language
        text = messages.words("welcome", language, name=asked.place.requester.name)
        await self.voice.reply(asked.place.reply_to(self.limit), text, keyboard=taste.first_steps(language))

    async def privacy(self, asked: Asked) -> None:
        """What is kept; with "delete" it is gone, with "export" it comes as a file, in private only."""
        place, do = asked.place, asked.words.strip().lower()
        if do == "delete":
            gone = await self.studio.forget(place.requester)
            await self.tell(place, messages.words("privacy.deleted", place.language, count=gone.jobs))
        elif do == "export" and place.private:
            data = await self.studio.export(place.requester)
            file = json.dumps(data, ensure_ascii=False, indent=2).encode()
            await self.voice.hand(place.reply_to(self.limit), file, "matinee-data.json")
        else:
            await self.tell(place, messages.words("privacy", place.language))

    async def admin(self, asked: Asked) -> None:
        """Admin verbs in the words of every chat and terminal: /admin quota grant 42 5"""
        requester = asked.place.requester
        if self.perform is None or not requester.admin:
            raise NotAllowed("admin")
        if not asked.words:
            await self.tell(asked.place, "\n".join(f"/admin {verb.usage}" for verb in VERBS.values()))
            return
        answer = await self.perform(asked.words, requester)
        await self.tell(asked.place, answer.said(asked.place.language))

    async def buy(self, asked: Asked) -> None:
        if self.till is None:
            raise NotOffered("/buy", "Matinee")
        text = messages.words("buy", asked.place.language)
        await self.voice.reply(
            asked.place.reply_to(self.limit), text, keyboard=self.till.packs(asked.place.language)
        )

    async def announce(self, ticket: Ticket, language: str) -> None:
        """Say where the job stands, once: a command that Telegram repeats is not answered again."""
        job = ticket.job
        if job.reply_to.status:
            return
        status = await self.voice.reply(job.reply_to, _told(ticket, language), keyboard=for_status(job))
        self.statuses[job.id] = str(status)
        await self.studio.remember_status(job.id, str(status))
        await self.tidy(await self.studio.job(job.id))

    def with_status(self, job: Job) -> Job:
        """The job with its status message, also where it was claimed before that was known."""
        if job.reply_to.status or job.id not in self.statuses:
            return job
        return replace(job, reply_to=replace(job.reply_to, status=self.statuses[job.id]))

    async def tidy(self, job: Job) -> None:
        """Take the status message away behind a clip that has a message of its own."""
        if not job.state.final:
            return
        self.statuses.pop(job.id, None)
        sent = Sent.parse(job.message)
        if job.state is not State.DELIVERED or sent is None or not job.reply_to.status:
            return
        if str(sent.message) != job.reply_to.status:
            try:
                await self.voice.bot.delete_message(sent.chat, int(job.reply_to.status))
            except TelegramError as error:
                log.debug("status stays", job=job.id, reason=type(error).__name__)

    async def _make(self, asked: Asked, kind: Kind) -> None:
        await self._submit(asked.place, self._read(asked, kind))

    def _read(self, asked: Asked, kind: Kind) -> Wish:
        return options.read(asked.words, kind=kind, genres=tuple(self.studio.genres))

    async def _submit(self, place: Place, wish: Wish) -> None:
        if not wish.prompt.strip():
            raise PromptEmpty
        own = await self.studio.settings(place.requester.key)
        shared = await self.studio.settings(place.requester.community) if place.requester.community else {}
        wish = taste.apply(wish, shared | own)
        where = place.reply_to(self.limit)
        ticket = await self.studio.submit(wish, place.requester, where, update=place.update)
        await self.announce(ticket, place.language)

    async def _picture(self, asked: Asked) -> str:
        """The photo of the message itself, or of the one it answers."""
        holder = asked.message if asked.message.photo else asked.message.reply_to_message
        if holder is None or not holder.photo:
            raise PictureMissing("/animate")
        file = await self.voice.bot.get_file(holder.photo[-1].file_id)
        content = bytes(await file.download_as_bytearray())
        target = self.studio.house.data / "uploads" / f"{asked.place.chat}-{asked.place.message}.png"
        return str(await asyncio.to_thread(pictures.keep, content, "The photo", target.absolute()))

    async def _which(self, asked: Asked, *, waiting: bool = False) -> tuple[str, Job]:
        """The clip that is meant, and the words that are left."""
        first, _, rest = asked.words.partition(" ")
        if first.lstrip("#").isdecimal():
            return rest.strip(), await self.studio.job(int(first.lstrip("#")))
        history = await self.studio.history(asked.place.requester, limit=25)
        replied = asked.message.reply_to_message
        for job in history:
            sent = Sent.parse(job.message)
            shown = {job.reply_to.status, str(sent.message) if sent else ""}
            if replied is not None and str(replied.message_id) in shown:
                return asked.words, job
        fitting = [job for job in history if not waiting or not job.state.final]
        if not fitting:
            raise NoClipMeant(f"/{asked.name}")
        return asked.words, fitting[0]

    async def _settings_key(self, asked: Asked) -> str:
        """An admin of a group changes the group's; everybody else their own."""
        requester = asked.place.requester
        if not requester.community:
            return requester.key
        return (
            requester.community
            if await self.is_chat_admin(asked.place.chat, requester.user)
            else requester.key
        )

    async def is_chat_admin(self, chat: int, user: str) -> bool:
        try:
            member = await self.voice.bot.get_chat_member(chat, int(user))
        except TelegramError:
            return False
        return member.status in {"administrator", "creator"}


def _told(ticket: Ticket, language: str) -> str:
    job = ticket.job
    eta = (ticket.eta.low, ticket.eta.high) if ticket.eta else None
    told = [messages.queued(job, place=ticket.place or 0, eta=eta, language=language)]
    if ticket.adjustments:
        told.append(messages.adjusted(ticket.adjustments, language))
    if job.request.kind is not Kind.IMAGE:
        told.append(
            messages.words("chosen", language, music=messages.music_line(job.request.music, language))
        )
    return "\n".join(told)


def _line(job: Job, language: str) -> str:
    state = messages.words(f"state.{job.state}", language)
    prompt = messages.quoted(job.request.prompt)
    return messages.words("history.line", language, job=job.id, prompt=prompt, state=state)
