"""Commands that make something: /video, /image, /animate, /music, and the walls and questions before them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.domain.errors import PictureMissing
from bot.frontends.telegram import (
    audio_files,
    image_files,
    option_menu,
    option_parser,
    preferences,
    questions,
)
from bot.frontends.telegram.audio_files import Sound
from bot.frontends.telegram.invocation import Asked
from bot.frontends.telegram.keyboards import genre_wall
from bot.frontends.telegram.option_menu import Chosen
from bot.frontends.telegram.questions import Note
from bot.frontends.telegram.responder import Command, Desk
from bot.i18n import messages
from bot.studio.rewording import reworded
from bot.studio.studio import Ticket
from generation.errors import PromptEmpty
from generation.media.files import write_whole
from generation.music.common.audio_decode import check
from generation.request import Kind, Wish

if TYPE_CHECKING:
    from telegram import InlineKeyboardMarkup, Message

    from bot.frontends.telegram.message_context import Place

KINDS = {"video": Kind.VIDEO, "image": Kind.IMAGE, "animate": Kind.ANIMATE}


@dataclass
class Making:
    desk: Desk

    @property
    def commands(self) -> dict[str, Command]:
        return {**dict.fromkeys(KINDS, self.film), "music": self.music}

    async def film(self, asked: Asked) -> None:
        """The words make a job; without any they are asked for, and who wished for the wall is shown it."""
        kind = self._kind(asked)
        if kind is Kind.ANIMATE and image_files.of(asked.message) is None:
            await self._ask(asked, "animate")
            return
        wish = self._read(asked, kind)
        if not wish.prompt:
            await self._ask(asked, asked.name)
            return
        if not asked.answers and (await self.desk.preferences(asked.place)).get("ask"):
            await self.offer(asked)
            return
        await self.submit(asked, wish)

    async def offer(self, asked: Asked) -> None:
        """The wall: music, length and shape, as far as the words leave them open."""
        wish = self._read(asked, self._kind(asked))
        text = messages.words("wall", asked.place.language, prompt=messages.quoted(wish.prompt))
        await self.desk.tell(asked.place, text, self.draw(wish, Chosen(), asked.place.language))

    def draw(self, wish: Wish, chosen: Chosen, language: str) -> InlineKeyboardMarkup:
        studio = self.desk.studio
        limits = studio.preset(wish.model).limits
        return option_menu.draw(wish, chosen, genres=studio.genres, limits=limits, language=language)

    def redraw(self, asked: Asked, chosen: Chosen) -> InlineKeyboardMarkup:
        return self.draw(self._read(asked, self._kind(asked)), chosen, asked.place.language)

    async def film_chosen(self, asked: Asked, chosen: Chosen) -> None:
        """What the wall was pressed to; its message becomes the status of the job."""
        wished = replace(asked, words=f"{asked.words} {chosen.words()}".strip())
        await self.submit(wished, self._read(wished, self._kind(wished)))

    async def reword(self, asked: Asked, number: int) -> None:
        """A clip of theirs in other words, with the same seed."""
        job = await self.desk.visible(number, asked.place)
        if not asked.words.strip():
            raise PromptEmpty
        place = asked.place
        ticket = await self.desk.studio.submit(
            reworded(job, asked.words),
            place.requester,
            self.desk.where(place),
            update=asked.update,
            parent=job.id,
        )
        await self.desk.announce(ticket, place.language)

    async def ask_reword(self, place: Place, number: int) -> None:
        job = await self.desk.visible(number, place)
        note = Note("edit", str(number))
        text = questions.question(note, place.language)
        await self.desk.tell(place, text, questions.field(place.language), code=job.request.prompt)

    async def music(self, asked: Asked) -> None:
        """In reply to a clip, or with its number: new music for it; without words, the wall of genres.

        Written under a song, that is the music.
        """
        words, job = await self.desk.which(asked)
        song = audio_files.own(asked.message)
        if not words and song is None:
            await self.offer_music(asked.place, job.id)
            return
        wish = option_parser.read(words, genres=tuple(self.desk.studio.genres))
        music = wish.music
        if music.genre is None and wish.prompt:  # "/music 17 jazz", without the #
            music = option_parser.read(f"#{wish.prompt}", genres=tuple(self.desk.studio.genres)).music
        if song is not None:
            music = replace(music, track=await self._sound(asked, song))
        place = asked.place
        ticket = await self.desk.studio.rescore(
            job.id, music, place.requester, self.desk.where(place), update=asked.update
        )
        await self.desk.announce(ticket, place.language)

    async def offer_music(self, place: Place, number: int) -> None:
        job = await self.desk.visible(number, place)
        text = messages.words("music.choose", place.language, job=job.id)
        await self.desk.tell(place, text, genre_wall(job.id, self.desk.studio.genres, place.language))

    async def submit(self, asked: Asked, wish: Wish) -> Ticket:
        place = asked.place
        if wish.kind is Kind.ANIMATE:
            wish = replace(wish, image=await self._picture(asked))
        song = None if wish.kind is Kind.IMAGE else audio_files.of(asked.message)
        if song is not None:
            wish = replace(wish, music=replace(wish.music, track=await self._sound(asked, song)))
        wish = preferences.apply(wish, await self.desk.preferences(place))
        ticket = await self.desk.studio.submit(
            wish, place.requester, self.desk.where(place), update=asked.update
        )
        await self.desk.announce(ticket, place.language, status=asked.status)
        return ticket

    async def _ask(self, asked: Asked, name: str) -> None:
        note = Note(name, " ".join(asked.words.split()))
        text = questions.question(note, asked.place.language)
        await self.desk.tell(asked.place, text, questions.field(asked.place.language))

    def _kind(self, asked: Asked) -> Kind:
        """A photo under which /video is written is meant to move."""
        if asked.name == "video" and asked.message.photo:
            return Kind.ANIMATE
        return KINDS.get(asked.name, Kind.VIDEO)

    def _read(self, asked: Asked, kind: Kind) -> Wish:
        """Words that are missing are taken from the message that is answered."""
        genres = tuple(self.desk.studio.genres)
        wish = option_parser.read(asked.words, kind=kind, genres=genres)
        if wish.prompt:
            return wish
        if words := quoted_words(asked.message, self.desk.voice.bot.id):
            return replace(wish, prompt=words)
        if kind is Kind.ANIMATE:
            return replace(wish, prompt=messages.words("animate.prompt"))
        return wish

    async def _picture(self, asked: Asked) -> str:
        """The picture of the message itself, or of the one it answers, made clean."""
        found = image_files.of(asked.message)
        if found is None:
            raise PictureMissing("/animate")
        content = await image_files.fetch(found, self.desk.voice.bot)
        target = self.desk.studio.house.data / "uploads" / f"{asked.place.chat}-{asked.place.message}.png"
        return str(await asyncio.to_thread(image_files.keep, content, found.name, target.absolute()))

    async def _sound(self, asked: Asked, song: Sound) -> str:
        content = await audio_files.fetch(song, self.desk.voice.bot)
        target = self.desk.studio.house.data / "uploads" / f"{asked.place.chat}-{asked.place.message}.sound"
        await asyncio.to_thread(write_whole, target, content)
        await asyncio.to_thread(check, target, song.name)
        return str(target.absolute())


def quoted_words(message: Message, bot: int) -> str:
    """What somebody else wrote and is answered with a bare command: "/video" under a good sentence."""
    answered = message.reply_to_message
    if answered is None or answered.from_user is None or answered.from_user.id == bot:
        return ""
    words = message.quote.text if message.quote else answered.text or answered.caption or ""
    return "" if words.startswith("/") else words
