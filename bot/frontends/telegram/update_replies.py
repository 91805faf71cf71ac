"""What commands and buttons share: replies, error reports, status messages and finding the meant job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from msgspec import structs
from telegram.error import BadRequest, TelegramError

from bot.domain.errors import NoClipGiven
from bot.domain.jobs import Action, Job, JobState, ReplyTo
from bot.frontends.common import job_texts
from bot.frontends.common.error_replies import appeal_action, explain_and_log
from bot.frontends.common.job_numbers import split_job_number
from bot.frontends.common.preferences import merge_preferences
from bot.frontends.telegram.clip_sender import SentMessage
from bot.frontends.telegram.keyboards import fits_callback_data, single_button, status_keyboard
from bot.frontends.telegram.languages import LanguageChoices
from bot.frontends.telegram.message_context import Invocation, MessageContext
from bot.frontends.telegram.message_sender import Markup, Messenger
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.studio.studio import Studio, Submission, Viewer
from generation.errors import UnknownChoice

if TYPE_CHECKING:
    from telegram import Message

log = structlog.get_logger(__name__)

CommandHandler = Callable[[Invocation], Awaitable[None]]


@dataclass
class Responder:
    studio: Studio
    messenger: Messenger
    upload_limit: int
    operators: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.pending_statuses: dict[int, str] = {}
        """Status messages of jobs that may have been claimed before the message was stored."""
        self.languages = LanguageChoices(lambda: self.studio.languages("telegram"))

    async def run_handler(self, handler: CommandHandler, invocation: Invocation) -> None:
        """Call the handler and report any error to the user in one sentence."""
        try:
            await handler(invocation)
        except SendError as error:
            log.info("could not answer a command", chat=invocation.context.chat, reason=str(error))
        except BadRequest as error:
            log.info("Telegram refused an answer", chat=invocation.context.chat, reason=error.message)
        except Exception as error:  # noqa: BLE001  (it is logged, and the user must get an answer)
            await self.reply_error(invocation.context, error, request="a command")

    async def reply_error(self, context: MessageContext, error: Exception, *, request: str) -> None:
        """Say why a request failed, with a button that corrects it; `request` names it in the log."""
        suggestion = _suggested_action(error)
        keyboard = single_button(suggestion, context.language) if suggestion else None
        try:
            await self.reply(context, explain_and_log(error, context.language, request=request), keyboard)
        except (SendError, TelegramError) as send_failure:
            log.info("could not report an error", chat=context.chat, reason=str(send_failure))

    async def reply(
        self,
        context: MessageContext,
        text: str,
        keyboard: Markup | None = None,
        *,
        code: str = "",
        timestamps: Mapping[str, float] | None = None,
    ) -> None:
        await self.messenger.reply(
            self.reply_target(context), text, keyboard=keyboard, code=code, timestamps=timestamps
        )

    def reply_target(self, context: MessageContext) -> ReplyTo:
        return context.reply_to(self.upload_limit)

    async def announce_job(self, submission: Submission, language: str, *, status: str = "") -> None:
        """Send the status message of a new job, once even if Telegram repeats the update.

        `status` is the id of an existing message that becomes the status message.
        """
        job = submission.job
        if job.reply_to.status:
            return
        if status:
            job = structs.replace(job, reply_to=structs.replace(job.reply_to, status=status))
        text, keyboard = queued_text(submission, language), status_keyboard(job)
        if not await self.messenger.edit_status(job, text, keyboard):
            status = str(await self.messenger.reply(job.reply_to, text, keyboard=keyboard))
        self.pending_statuses[job.id] = status
        saved = await self.studio.save_status_message(job.id, status, Viewer.owner_of(job))
        await self.remove_status_message(saved)

    def with_status(self, job: Job) -> Job:
        """The job with its status message, even if it was claimed before the message was stored."""
        if job.reply_to.status or job.id not in self.pending_statuses:
            return job
        return structs.replace(
            job, reply_to=structs.replace(job.reply_to, status=self.pending_statuses[job.id])
        )

    async def remove_status_message(self, job: Job) -> None:
        """Delete the status message of a job whose clip was sent as a new message."""
        if not job.state.is_final:
            return
        self.pending_statuses.pop(job.id, None)
        sent = SentMessage.parse(job.message)
        if job.state is not JobState.DELIVERED or sent is None or not job.reply_to.status:
            return
        if str(sent.message) != job.reply_to.status:
            try:
                await self.messenger.bot.delete_message(sent.chat, int(job.reply_to.status))
            except TelegramError as error:
                log.debug("could not delete a status message", job=job.id, reason=type(error).__name__)

    async def preferences(self, context: MessageContext) -> Mapping[str, object]:
        """The user's own settings, and the group's where the user has none."""
        viewer = self.viewer(context)
        own = await self.studio.settings(viewer)
        shared = await self.studio.community_settings(viewer)
        return merge_preferences(own, shared)

    def viewer(self, context: MessageContext) -> Viewer:
        """The requester with what Telegram says about them: a user who writes in a chat is a member of it."""
        return Viewer(
            requester=context.requester,
            chat=str(context.chat),
            community_settings_key=context.requester.community,
            private=context.private,
            is_moderator=lambda: self.is_chat_admin(context),
            is_community_admin=lambda: self.is_chat_admin(context),
        )

    async def resolve_job(self, invocation: Invocation, *, unfinished_only: bool = False) -> tuple[str, Job]:
        """The job that a command is about, and the rest of the arguments.

        It is the job with the given number, else the one replied to, else the requester's newest. Raises
        NoClipGiven.
        """
        number, rest = split_job_number(invocation.arguments)
        if number is not None:
            return rest, await self.studio.job(number, self.viewer(invocation.context))
        history = await self.studio.history(self.viewer(invocation.context), limit=25)
        if (replied := await self._find_replied_job(invocation, history)) is not None:
            return invocation.arguments, replied
        candidates = [job for job in history if not unfinished_only or not job.state.is_final]
        if not candidates:
            raise NoClipGiven(f"/{invocation.name}")
        return invocation.arguments, candidates[0]

    async def replied_job(self, invocation: Invocation) -> Job | None:
        """The job whose message the command replies to, if any."""
        return await self._find_replied_job(
            invocation, await self.studio.history(self.viewer(invocation.context), limit=25)
        )

    async def _find_replied_job(self, invocation: Invocation, history: list[Job]) -> Job | None:
        """The job whose clip, status message or command is replied to."""
        message = invocation.message.reply_to_message
        if message is None:
            return None
        if numbers_on_buttons := jobs_on_message(message, self.messenger.bot.id):
            return await self.studio.job(numbers_on_buttons[0], self.viewer(invocation.context))
        for job in history:
            sent = SentMessage.parse(job.message)
            numbers = {job.reply_to.message, job.reply_to.status, str(sent.message) if sent else ""}
            if job.reply_to.chat == str(invocation.context.chat) and str(message.message_id) in numbers:
                return job
        return None

    async def is_chat_admin(self, context: MessageContext) -> bool:
        if context.anonymous_admin:
            return True
        if context.private or int(context.requester.user) < 0:
            return False
        try:
            member = await self.messenger.bot.get_chat_member(context.chat, int(context.requester.user))
        except TelegramError:
            return False
        return member.status in {"administrator", "creator"}


def jobs_on_message(message: Message, bot: int) -> list[int]:
    """The job numbers in the buttons of a message of the bot, as Telegram reports the message."""
    if message.from_user is None or message.from_user.id != bot or message.reply_markup is None:
        return []
    buttons = (button for row in message.reply_markup.inline_keyboard for button in row)
    actions = (Action.parse(str(button.callback_data or "")) for button in buttons)
    return [action.job for action in actions if action and action.job and action.verb != "set"]


def message_shows_job(message: Message, job: Job, bot: int) -> bool:
    """Whether this is the message of the job. If none is known, its own buttons must name the job."""
    sent = SentMessage.parse(job.message)
    if sent is None:
        return job.id in jobs_on_message(message, bot)
    return message.chat.id == sent.chat and str(message.message_id) in {
        str(sent.message),
        job.reply_to.status,
    }


def _suggested_action(error: Exception) -> Action | None:
    """What a button can do about an error: correct a typo, or appeal a refusal."""
    if appeal := appeal_action(error):
        return appeal
    if isinstance(error, UnknownChoice) and error.near and ">" not in error.value:
        correction = Action("fix", 0, f"{error.value}>{error.near}")
        return correction if fits_callback_data(correction) else None
    return None


def queued_text(submission: Submission, language: str) -> str:
    job = submission.job
    lines = (
        job_texts.queued_text(
            job, queue_position=submission.queue_position, eta=submission.eta, language=language
        ),
        messages.adjustments_text(submission.adjustments, language),
        job_texts.music_text(job, language),
    )
    return "\n".join(filter(None, lines))
