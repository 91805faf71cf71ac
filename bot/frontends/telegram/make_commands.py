"""Commands that make clips: /video, /image, /animate and /music, with their menus and questions."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.domain.errors import PictureRequired
from bot.frontends.common.preferences import apply_preferences
from bot.frontends.telegram import (
    attached_files,
    option_menu,
    option_parser,
    questions,
)
from bot.frontends.telegram.attached_files import AttachedFile
from bot.frontends.telegram.keyboards import genre_keyboard
from bot.frontends.telegram.message_context import Invocation, MessageContext
from bot.frontends.telegram.option_menu import MenuChoices
from bot.frontends.telegram.questions import PendingCommand
from bot.frontends.telegram.update_replies import CommandHandler, Responder
from bot.i18n import messages
from bot.studio.studio import Submission
from bot.studio.uploads import Intake
from generation.errors import PromptEmpty
from generation.request import Kind, MusicWish, Wish

if TYPE_CHECKING:
    from telegram import InlineKeyboardMarkup, Message

KINDS = {"video": Kind.VIDEO, "image": Kind.IMAGE, "animate": Kind.ANIMATE}


@dataclass
class MakeCommands:
    responder: Responder

    @property
    def handlers(self) -> dict[str, CommandHandler]:
        return {**dict.fromkeys(KINDS, self.make_clip), "music": self.new_music}

    async def make_clip(self, invocation: Invocation) -> None:
        """Submit a job, ask for a missing prompt or picture, or show the option menu if it is preferred."""
        kind = self._kind_of(invocation)
        if kind is Kind.ANIMATE and attached_files.find_image(invocation.message) is None:
            await self._ask_question(invocation, "animate")
            return
        wish = self._parse_wish(invocation, kind)
        if not wish.prompt:
            await self._ask_question(invocation, invocation.name)
            return
        if not invocation.completes_question and (await self.responder.preferences(invocation.context)).get(
            "ask"
        ):
            await self.show_option_menu(invocation)
            return
        await self.submit(invocation, wish)

    async def show_option_menu(self, invocation: Invocation) -> None:
        """Show the menu for those of music, length and shape that the command leaves open."""
        wish = self._parse_wish(invocation, self._kind_of(invocation))
        text = messages.translate(
            "options.menu", invocation.context.language, prompt=messages.sanitized(wish.prompt)
        )
        await self.responder.reply(
            invocation.context, text, self.option_keyboard(wish, MenuChoices(), invocation.context.language)
        )

    def option_keyboard(self, wish: Wish, chosen: MenuChoices, language: str) -> InlineKeyboardMarkup:
        studio = self.responder.studio
        limits = studio.preset(wish.model).limits
        return option_menu.build_keyboard(
            wish, chosen, genres=studio.genres, limits=limits, language=language
        )

    def updated_keyboard(self, invocation: Invocation, chosen: MenuChoices) -> InlineKeyboardMarkup:
        return self.option_keyboard(
            self._parse_wish(invocation, self._kind_of(invocation)), chosen, invocation.context.language
        )

    async def submit_with_choices(self, invocation: Invocation, chosen: MenuChoices) -> None:
        """Submit the job with the options chosen in the menu, whose message becomes the status message."""
        completed = replace(invocation, arguments=f"{invocation.arguments} {chosen.as_arguments()}".strip())
        await self.submit(completed, self._parse_wish(completed, self._kind_of(completed)))

    async def edit_prompt(self, invocation: Invocation, number: int) -> None:
        """Make a clip again with another prompt and the same seed."""
        if not invocation.arguments.strip():
            raise PromptEmpty
        context = invocation.context
        submission = await self.responder.studio.reword(
            number,
            invocation.arguments,
            self.responder.viewer(context),
            self.responder.reply_target(context),
            idempotency_key=invocation.dedup_key,
        )
        await self.responder.announce_job(submission, context.language)

    async def ask_new_prompt(self, context: MessageContext, number: int) -> None:
        job = await self.responder.studio.recipe(number, self.responder.viewer(context))
        pending = PendingCommand("edit", str(number))
        text = questions.question_text(pending, context.language)
        await self.responder.reply(
            context, text, questions.answer_field(context.language), code=job.request.prompt
        )

    async def new_music(self, invocation: Invocation) -> None:
        """/music in reply to a clip, or with its number: make new music for it.

        Audio attached to the command becomes the music. Without audio or options the genre menu is shown.
        """
        options, job = await self.responder.resolve_job(invocation)
        audio = attached_files.attached_audio(invocation.message)
        if not options and audio is None:
            await self.show_genre_menu(invocation.context, job.id)
            return
        wish = option_parser.parse_wish(options, genres=tuple(self.responder.studio.genres))
        music = wish.music
        if music.genre is None and wish.prompt:  # "/music 17 jazz", without the #
            music = option_parser.parse_wish(
                f"#{wish.prompt}", genres=tuple(self.responder.studio.genres)
            ).music
        if audio is not None:
            async with self._receive_uploads(invocation) as intake:
                music = replace(music, track=await self._receive_audio(audio, intake))
                await self._submit_music(invocation, job.id, music)
        else:
            await self._submit_music(invocation, job.id, music)

    async def _submit_music(self, invocation: Invocation, job_id: int, music: MusicWish) -> None:
        context = invocation.context
        submission = await self.responder.studio.new_music(
            job_id,
            music,
            self.responder.viewer(context),
            self.responder.reply_target(context),
            idempotency_key=invocation.dedup_key,
        )
        await self.responder.announce_job(submission, context.language)

    async def show_genre_menu(self, context: MessageContext, number: int) -> None:
        job = await self.responder.studio.job(number, self.responder.viewer(context))
        text = messages.translate("music.choose", context.language, job=job.id)
        await self.responder.reply(
            context, text, genre_keyboard(job.id, self.responder.studio.genres, context.language)
        )

    async def submit(self, invocation: Invocation, wish: Wish) -> Submission:
        audio = None if wish.kind is Kind.IMAGE else attached_files.find_audio(invocation.message)
        if wish.kind is Kind.ANIMATE or audio is not None:
            async with self._receive_uploads(invocation) as intake:
                if wish.kind is Kind.ANIMATE:
                    wish = replace(wish, image=await self._receive_image(invocation, intake))
                if audio is not None:
                    track = await self._receive_audio(audio, intake)
                    wish = replace(wish, music=replace(wish.music, track=track))
                return await self._submit_wish(invocation, wish)
        return await self._submit_wish(invocation, wish)

    async def _submit_wish(self, invocation: Invocation, wish: Wish) -> Submission:
        context = invocation.context
        wish = apply_preferences(wish, await self.responder.preferences(context))
        submission = await self.responder.studio.submit(
            wish,
            self.responder.viewer(context),
            self.responder.reply_target(context),
            idempotency_key=invocation.dedup_key,
        )
        await self.responder.announce_job(submission, context.language, status=invocation.status_message)
        return submission

    async def _ask_question(self, invocation: Invocation, name: str) -> None:
        pending = PendingCommand(name, " ".join(invocation.arguments.split()))
        text = questions.question_text(pending, invocation.context.language)
        await self.responder.reply(
            invocation.context, text, questions.answer_field(invocation.context.language)
        )

    def _kind_of(self, invocation: Invocation) -> Kind:
        """The kind of clip to make. /video as the caption of a photo animates it."""
        if invocation.name == "video" and invocation.message.photo:
            return Kind.ANIMATE
        return KINDS.get(invocation.name, Kind.VIDEO)

    def _parse_wish(self, invocation: Invocation, kind: Kind) -> Wish:
        """Parse the arguments. A missing prompt is taken from the message that this one replies to."""
        genres = tuple(self.responder.studio.genres)
        wish = option_parser.parse_wish(invocation.arguments, kind=kind, genres=genres)
        if wish.prompt:
            return wish
        if text := quoted_text(invocation.message, self.responder.messenger.bot.id):
            return replace(wish, prompt=text)
        if kind is Kind.ANIMATE:
            return replace(wish, prompt=messages.translate("animate.prompt"))
        return wish

    def _receive_uploads(self, invocation: Invocation) -> AbstractAsyncContextManager[Intake]:
        context = invocation.context
        return self.responder.studio.receive_uploads(self.responder.viewer(context))

    async def _receive_image(self, invocation: Invocation, intake: Intake) -> str:
        """Store the picture of the message, or of the one it replies to; return its path."""
        found = attached_files.find_image(invocation.message)
        if found is None:
            raise PictureRequired("/animate")
        fetch = attached_files.fetch(found, self.responder.messenger.bot)
        return await intake.picture(found.name, found.size, fetch)

    async def _receive_audio(self, audio: AttachedFile, intake: Intake) -> str:
        fetch = attached_files.fetch(audio, self.responder.messenger.bot)
        return await intake.sound(audio.name, audio.size, fetch)


def quoted_text(message: Message, bot: int) -> str:
    """The text of the user's message that this one replies to, unless it is a command."""
    replied = message.reply_to_message
    if replied is None or replied.from_user is None or replied.from_user.id == bot:
        return ""
    text = message.quote.text if message.quote else replied.text or replied.caption or ""
    return "" if text.startswith("/") else text
