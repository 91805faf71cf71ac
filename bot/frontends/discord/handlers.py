"""Where every wish comes by, typed, pressed or filled in: from an interaction to the studio and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import discord
import structlog

from bot.domain.errors import ElsewhereOnly, NotYours
from bot.domain.jobs import WAITING, Action, Job, ReplyTo, Requester
from bot.frontends.discord.cards import Card, tame
from bot.frontends.discord.interaction_context import (
    PLATFORM,
    TOKEN_LIFE,
    Interaction,
    is_guest,
    is_moderator,
    language_of,
    reply_to_of,
    requester_of,
)
from bot.frontends.discord.job_cards import ended_card, hidden, recipe_card, waiting_card
from bot.frontends.discord.responses import aside, honest, tell, whisper
from bot.frontends.discord.sender import Sender
from bot.frontends.discord.settings import Manner
from bot.frontends.discord.status_order import Board, Step
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.store.store import Eta
from bot.studio.studio import Studio, Ticket
from generation.errors import UnknownChoice
from generation.music.common.music_choice import NATIVE, SILENT
from generation.request import MusicWish, Wish, check_choice

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, with what they and their server have chosen."""

    requester: Requester
    own: Mapping[str, Any]
    server: Mapping[str, Any]

    @property
    def language(self) -> str:
        return self.requester.language

    def preferred(self, name: str) -> Any:
        return self.own.get(name) or self.server.get(name)


class Desk:
    def __init__(self, studio: Studio, sender: Sender, board: Board, manner: Manner) -> None:
        self.studio = studio
        self.sender = sender
        self.board = board
        self.manner = manner
        self.operators: frozenset[int] = frozenset()
        self.commands: dict[str, int] = {}  # by name, as Discord knows them

    @cached_property
    def genre_options(self) -> list[discord.SelectOption]:
        return [
            discord.SelectOption(label=genre.title, value=name, emoji=genre.emoji or None)
            for name, genre in self.studio.genres.items()
        ][:25]

    async def asker(self, interaction: Interaction) -> Asker:
        key = f"{PLATFORM}:{interaction.user.id}"
        own = await self.studio.settings(key)
        server = await self.studio.settings(server_key(interaction.guild_id))
        chosen = own.get("language") or server.get("language")
        requester = requester_of(
            interaction,
            operators=self.operators,
            language=language_of(interaction, chosen, otherwise=self.manner.language),
        )
        return Asker(requester, own, server)

    # making

    async def film(self, interaction: Interaction, wish: Wish, *, parent: int | None = None) -> None:
        """A wish, from whichever command, button or form."""
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            self._check_place(interaction, asker)
            chosen = _with_preferences(wish, asker)
            ticket = await self.studio.submit(
                chosen,
                asker.requester,
                self._reply_to(interaction, asker),
                update=f"{PLATFORM}:{interaction.id}",
                parent=parent,
            )
            await self.show_ticket(interaction, ticket)

    async def pressed(self, interaction: Interaction, action: Action) -> None:
        """A button or select that starts another job; it goes through quota and policy like a command."""
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            self._check_place(interaction, asker)
            await self.visible(action.job, asker, interaction)
            update, reply_to = f"{PLATFORM}:{interaction.id}", self._reply_to(interaction, asker)
            done = await self.studio.act(action, asker.requester, reply_to, update=update)
            assert isinstance(done, Ticket), f"{action.verb} starts a job"
            await self.show_ticket(interaction, done)

    async def rescore(self, interaction: Interaction, clip: str, music: MusicWish) -> None:
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            self._check_place(interaction, asker)
            job = await self.visible(job_number(clip), asker, interaction)
            reply_to = self._reply_to(interaction, asker)
            update = f"{PLATFORM}:{interaction.id}"
            ticket = await self.studio.rescore(job.id, music, asker.requester, reply_to, update=update)
            await self.show_ticket(interaction, ticket)

    async def show_ticket(self, interaction: Interaction, ticket: Ticket) -> None:
        job = ticket.job
        if job.state not in WAITING:
            return  # a repetition of what is done already
        language = job.requester.language
        adjusted = messages.adjusted(ticket.adjustments, language)
        card = waiting_card(job, place=ticket.place or 0, eta=ticket.eta, notes=(adjusted,))
        shown = True
        try:
            shown = await self.board.show(job.id, Step.WAITING, lambda: self.sender.edit(job.reply_to, card))
        except SendError as error:
            log.warning("place not shown", job=job.id, reason=str(error))
        warning = guest_warning(ticket.eta, language) if is_guest(interaction) else ""
        unseen = "\n".join(filter(None, (warning, "" if shown else adjusted)))
        if unseen:
            await aside(interaction, Card(title=unseen))

    # on what is there

    async def visible(self, number: int, asker: Asker, interaction: Interaction) -> Job:
        """The job, if this person may know of it: theirs, or made in the open of the same server."""
        job = await self.studio.job(number)
        mine = job.requester.key == asker.requester.key or asker.requester.admin
        shared = job.requester.community == asker.requester.community != "" and not job.reply_to.private
        if not (mine or shared or str(interaction.channel_id) == job.reply_to.chat):
            raise NotYours(number)
        if not mine and hidden(job) and interaction.type is not discord.InteractionType.component:
            raise NotYours(number)
        return job

    async def cancel(self, interaction: Interaction, number: int) -> None:
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            job = await self.studio.cancel(number, asker.requester)
            text = messages.ended(job, asker.language)
            await self.board.show(
                job.id, Step.ENDED, lambda: self.sender.edit(job.reply_to, ended_card(job, text))
            )
            if interaction.extras.get("status"):
                await tell(interaction, Card(body=tame(text)))

    async def recipe(self, interaction: Interaction, number: int) -> None:
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            job = await self.visible(number, asker, interaction)
            if hidden(job) and job.requester.key != asker.requester.key:
                raise NotYours(number)
            await tell(interaction, recipe_card(job, asker.language))

    async def delete(self, interaction: Interaction, number: int) -> None:
        """The message with the clip goes; its owner and the place's moderators may do that."""
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            job = await self.studio.job(number)
            owner = job.requester.key == asker.requester.key
            if not (owner or asker.requester.admin or is_moderator(interaction)):
                raise NotYours(number)
            await interaction.delete_original_response()
            log.info("message deleted", job=number, by=asker.requester.key)
            await whisper(interaction, Card(body=tame(messages.words("deleted", asker.language, job=number))))

    async def report(self, interaction: Interaction, number: int, why: str = "") -> None:
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            job = await self.visible(number, asker, interaction)
            link = interaction.message.jump_url if interaction.message else ""
            said = " ".join(filter(None, (why, link)))
            fresh = await self.studio.report(number, asker.requester, said)
            if fresh:
                log.warning("reported", job=number, by=asker.requester.key, author=job.requester.key)
                words = messages.words("reported.admins", asker.server.get("language") or "en", job=number)
                body = f"{tame(messages.quoted(why, 500))}\n{link}".strip()
                people = f"<@{job.requester.user}> · <@{asker.requester.user}>"
                await self._tell_admins(asker, Card(title=words, body=f"{body}\n{people}"))
            key = "reported" if fresh else "reported.before"
            await tell(interaction, Card(body=tame(messages.words(key, asker.language, job=number))))

    async def appeal(self, interaction: Interaction, refusal: int, why: str = "") -> None:
        """Against a refusal of the asker's own, the last one if 0."""
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            fresh = await self.studio.appeal(asker.requester, why, refusal=refusal)
            key = "appealed" if fresh else "reported.before"
            await tell(interaction, Card(body=tame(messages.words(key, asker.language))))

    async def decide(self, interaction: Interaction, action: Action) -> None:
        """A button below a notice to the admins."""
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            answer = await self.studio.decide(action, asker.requester)
            await tell(interaction, Card(body=tame(answer.said(asker.language))))

    async def _tell_admins(self, asker: Asker, card: Card) -> None:
        """Those of this server; the operators hear of it by the studio."""
        if to := asker.server.get("reports"):
            await self.sender.notify(int(to), card)

    async def forget(self, interaction: Interaction, number: int) -> None:
        """Asked for by /privacy, and confirmed by its button."""
        del number  # a button names a job; this one means all of them
        asker = await self.asker(interaction)
        async with honest(interaction, asker.language):
            swept = await self.studio.forget(asker.requester)
            told = messages.words("privacy.deleted", asker.language, count=swept.jobs)
            await tell(interaction, Card(body=tame(told)))

    def with_mentions(self, text: str) -> str:
        """`/queue` becomes what can be pressed, and is shown in the reader's own language."""

        def mention(found: re.Match[str]) -> str:
            number = self.commands.get(found[1])
            return f"</{found[1]}:{number}>" if number else found[0]

        return re.sub(r"`/(\w+)`", mention, text)

    def check_names(self, genre: str | None, model: str | None) -> None:
        """A preference is held against the same lists as a wish; raises UnknownChoice."""
        self.studio.preset(model)
        if genre is not None:
            check_choice("genre", genre, (*self.studio.genres, SILENT, NATIVE))

    def _reply_to(self, interaction: Interaction, asker: Asker) -> ReplyTo:
        facts: dict[str, Any] = {}
        if asker.own.get("ping"):
            facts["ping"] = True
        if asker.server.get("prompts") == "asker":
            facts["hidden"] = True
        if getattr(interaction.channel, "nsfw", False):
            facts["adult"] = True
        return reply_to_of(interaction, **facts)

    def _check_place(self, interaction: Interaction, asker: Asker) -> None:
        allowed = asker.server.get("channels") or []
        here = {str(interaction.channel_id), str(getattr(interaction.channel, "parent_id", None))}
        if allowed and not here & set(allowed) and not asker.requester.admin:
            raise ElsewhereOnly(tuple(f"#{self.sender.channel_name(int(number))}" for number in allowed))


def job_number(text: str) -> int:
    """What was chosen, or typed instead: "17" or "#17 a fox"."""
    digits = text.strip().removeprefix("#").split(" ", 1)[0]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        raise UnknownChoice("clip", text, None)
    return int(digits)


def server_key(guild: int | None) -> str:
    return f"server:{PLATFORM}:{guild or 0}"


def guest_warning(eta: Eta | None, language: str) -> str:
    """Somebody else's server: only the token leads back there, and not for long."""
    if eta is None:
        return messages.words("guest", language)
    return messages.words("guest.long", language) if eta.high > TOKEN_LIFE else ""


def _with_preferences(wish: Wish, asker: Asker) -> Wish:
    """What they left open is filled from their settings, then from the server's."""
    music = wish.music
    if music.genre is None and asker.preferred("genre"):
        music = replace(music, genre=asker.preferred("genre"))
    return replace(wish, model=wish.model or asker.preferred("model"), music=music)
