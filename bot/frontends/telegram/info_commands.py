"""Commands about existing things: queue, history, credits, models, recipes, reports, help and privacy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from telegram import InlineKeyboardMarkup
from telegram.error import TelegramError

from bot.domain.jobs import Action, Job
from bot.frontends.common import account_actions
from bot.frontends.common.job_texts import MAX_LISTED, is_own_job, ledger_lines, model_lines, others_line
from bot.frontends.common.recipe_command import file_recipe, job_recipe
from bot.frontends.telegram import attached_files
from bot.frontends.telegram.keyboards import button, single_button
from bot.frontends.telegram.preferences import owner_number
from bot.frontends.telegram.recipe_text import recipe_command
from bot.frontends.telegram.update_replies import message_shows_job
from bot.i18n import messages

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.message_context import Invocation, MessageContext
    from bot.frontends.telegram.update_replies import CommandHandler, Responder

log = structlog.get_logger(__name__)


@dataclass
class InfoCommands:
    responder: Responder

    @property
    def handlers(self) -> dict[str, CommandHandler]:
        return {
            "queue": self.queue,
            "cancel": self.cancel,
            "history": self.history,
            "quota": self.quota,
            "models": self.models,
            "recipe": self.recipe,
            "report": self.report,
            "appeal": self.appeal,
            "help": self.help,
            "privacy": self.privacy,
        }

    async def queue(self, invocation: Invocation) -> None:
        context = invocation.context
        waiting = await self.responder.studio.waiting(self.responder.viewer(context), MAX_LISTED)
        lines = [_queue_line(job, context) for job in waiting.jobs]
        if waiting.others:
            lines.append(others_line(waiting.others, context.language))
        mine = [job for job in waiting.jobs if is_own_job(job, context.requester) and not job.state.is_final]
        await self._reply_list(
            context, "queue", lines, _cancel_keyboard(mine, context.language) if mine else None
        )

    async def cancel(self, invocation: Invocation) -> None:
        """Cancel the job with the number or the one replied to.

        Without either, cancel the requester's unfinished job, or ask which one if there are several.
        """
        context = invocation.context
        number, _, _ = invocation.arguments.partition(" ")
        if not number and invocation.message.reply_to_message is None:
            asked_at = invocation.message.date.timestamp() + 1
            history = await self.responder.studio.history(self.responder.viewer(context), limit=25)
            waiting = [job for job in history if not job.state.is_final and job.created_at <= asked_at]
            if len(waiting) > 1:
                text = messages.translate("cancel.choose", context.language)
                await self.responder.reply(context, text, _cancel_keyboard(waiting, context.language))
                return
        _, job = await self.responder.resolve_job(invocation, unfinished_only=True)
        done = await self.responder.studio.cancel(job.id, self.responder.viewer(context))
        await self.responder.reply(context, messages.final_status(done, context.language))

    async def history(self, invocation: Invocation) -> None:
        context = invocation.context
        jobs = await self.responder.studio.history(self.responder.viewer(context), MAX_LISTED)
        private = context.private
        lines = [
            messages.job_line(job, context.language, prompt=private or _is_same_chat(job, context))
            for job in jobs
        ]
        await self._reply_list(context, "history", lines)

    async def quota(self, invocation: Invocation) -> None:
        context, studio = invocation.context, self.responder.studio
        viewer = self.responder.viewer(context)
        balance = await studio.balance(viewer)
        entries = await studio.ledger_entries(viewer, MAX_LISTED) if context.private else []
        refill_time = messages.format_time(balance.back_at, context.language)
        title = messages.translate("quota.title", context.language)
        lines = [
            title,
            messages.balance_text(balance, context.language),
            *ledger_lines(entries, context.language),
        ]
        await self.responder.reply(context, "\n".join(lines), timestamps={refill_time: balance.back_at})

    async def models(self, invocation: Invocation) -> None:
        context, studio = invocation.context, self.responder.studio
        lines = model_lines(studio.presets, context.language)
        chosen = (await self.responder.preferences(context)).get("model") or studio.default_model
        lines.append(messages.translate("model.chosen", context.language, name=chosen))
        await self._reply_list(context, "models", lines)

    async def recipe(self, invocation: Invocation) -> None:
        """/recipe: show the recipe of a clip made here, or of any other file that contains one."""
        clip_file = None if invocation.arguments else attached_files.find_clip(invocation.message)
        if clip_file is not None and await self.responder.replied_job(invocation) is None:
            await self._reply_recipe_of_file(clip_file, invocation.context)
            return
        _, meant = await self.responder.resolve_job(invocation)
        job = await self.responder.studio.recipe(meant.id, self.responder.viewer(invocation.context))
        found = job_recipe(job, invocation.context.language, recipe_command)
        await self.responder.reply(invocation.context, found.title, code=found.command)

    async def _reply_recipe_of_file(
        self, clip_file: attached_files.AttachedFile, context: MessageContext
    ) -> None:
        request = await self.responder.studio.read_attached_recipe(
            clip_file.name,
            clip_file.size,
            attached_files.fetch(clip_file, self.responder.messenger.bot),
            self.responder.viewer(context),
        )
        found = file_recipe(request, clip_file.name, context.language, recipe_command)
        await self.responder.reply(context, found.title, code=found.command)

    async def report(self, invocation: Invocation) -> None:
        """/report [TEXT] in reply to a clip. The clip's button does the same without a text."""
        words, job = await self.responder.resolve_job(invocation)
        await self.responder.reply(
            invocation.context, await self.submit_report(job.id, invocation.context, words)
        )

    async def submit_report(self, job: int, context: MessageContext, words: str = "") -> str:
        viewer = self.responder.viewer(context)
        answer = await account_actions.report_clip(self.responder.studio, job, viewer, words)
        return answer.text

    async def appeal(self, invocation: Invocation) -> None:
        """/appeal [TEXT]: ask an admin to review the last refusal."""
        await self.responder.reply(
            invocation.context, await self.submit_appeal(invocation.context, invocation.arguments)
        )

    async def submit_appeal(self, context: MessageContext, words: str = "", *, refusal: int = 0) -> str:
        return await account_actions.appeal_refusal(
            self.responder.studio, self.responder.viewer(context), words, refusal=refusal
        )

    async def delete(self, job: int, context: MessageContext, message: Message) -> str:
        """Delete a clip's message. Its requester, Matinee's admins and the group's admins may do that."""
        bot = self.responder.messenger.bot
        await self.responder.studio.allow_deletion(
            job, self.responder.viewer(context), lambda found: message_shows_job(message, found, bot.id)
        )
        try:
            await bot.delete_message(context.chat, message.message_id)
        except TelegramError as error:
            log.info("could not delete a message", job=job, reason=error.message)
            return messages.translate("delete.refused", context.language)
        log.info("message deleted", job=job, by=context.requester.key)
        return messages.translate("deleted", context.language, job=job)

    async def help(self, invocation: Invocation) -> None:
        title = messages.translate("help.title", invocation.context.language)
        await self.responder.reply(
            invocation.context,
            f"{title}\n\n{messages.translate('help.telegram', invocation.context.language)}",
        )

    async def privacy(self, invocation: Invocation) -> None:
        """/privacy: show what is stored; "delete" asks and deletes it, "export" sends it in private."""
        context, action = invocation.context, invocation.arguments.strip().lower()
        viewer = self.responder.viewer(context)
        if action == "export" and context.private:
            file = await account_actions.export_personal_data(self.responder.studio, viewer)
            caption = messages.translate("privacy.export", context.language)
            await self.responder.messenger.send_file(
                self.responder.reply_target(context), file, account_actions.EXPORT_FILE, caption
            )
        elif action == "delete":
            confirm_keyboard = single_button(Action("forget", owner_number(context)), context.language)
            await self.responder.reply(
                context, messages.translate("privacy.sure", context.language), confirm_keyboard
            )
        elif action == "export":
            await self.responder.reply(context, messages.translate("private.only", context.language))
        else:
            title = messages.translate("privacy.title", context.language)
            await self.responder.reply(context, f"{title}\n{messages.translate('privacy', context.language)}")

    async def forget(self, context: MessageContext) -> str:
        viewer = self.responder.viewer(context)
        text = await account_actions.delete_personal_data(self.responder.studio, viewer)
        self.responder.languages.choose(context.requester.key, None)
        return text

    async def _reply_list(
        self,
        context: MessageContext,
        name: str,
        lines: list[str],
        keyboard: InlineKeyboardMarkup | None = None,
    ) -> None:
        """Reply with a title and lines, or with the text for an empty list."""
        if not lines:
            await self.responder.reply(context, messages.translate(f"{name}.empty", context.language))
            return
        title = messages.translate(f"{name}.title", context.language)
        await self.responder.reply(context, "\n".join([title, *lines]), keyboard)


def _cancel_keyboard(jobs: list[Job], language: str) -> InlineKeyboardMarkup:
    label = messages.translate("button.cancel", language)
    return InlineKeyboardMarkup([[button(f"✖️ {label} #{job.id}", Action("cancel", job.id))] for job in jobs])


def _is_same_chat(job: Job, context: MessageContext) -> bool:
    return job.reply_to.platform == context.requester.platform and job.reply_to.chat == str(context.chat)


def _queue_line(job: Job, context: MessageContext) -> str:
    """One line of /queue. All members read the answer in a group, so it keeps prompts of other chats out."""
    return messages.job_line(
        job,
        context.language,
        prompt=context.private or _is_same_chat(job, context),
    )
