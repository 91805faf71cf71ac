"""Handle pressed buttons. Each press is answered within two seconds, even if its action takes longer."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from telegram.error import BadRequest, TelegramError

from bot.domain.errors import NotYourButtons
from bot.domain.jobs import Action, Job
from bot.frontends.common import account_actions
from bot.frontends.common.error_replies import explain_and_log
from bot.frontends.telegram.make_commands import KINDS
from bot.frontends.telegram.message_context import Invocation, MessageContext
from bot.frontends.telegram.option_menu import MenuChoices
from bot.frontends.telegram.preferences import owner_number
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.studio.studio import REVIEW_VERBS, Submission
from generation.errors import UnknownChoice

if TYPE_CHECKING:
    from telegram import CallbackQuery, Message

    from bot.frontends.telegram.command_router import CommandRouter

SPINNER_TIMEOUT = 2.0
"""Seconds that a button shows its spinner; the outcome of a longer action is sent as a message."""
ALERT_LIMIT = 200
DOUBLE_TAP_SECONDS = 1.5
"""Seconds within which a second tap on the same button is ignored."""
TOGGLE_VERBS = frozenset({"set", "ask"})
"""Buttons that switch a choice on and off. Every tap on them counts."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ButtonPress:
    query: CallbackQuery
    message: Message
    context: MessageContext

    @property
    def dedup_key(self) -> str:
        return f"telegram:q{self.query.id}"


class ButtonHandler:
    def __init__(self, router: CommandRouter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._responder = router.responder
        self._clock = clock
        self.spinner_timeout = SPINNER_TIMEOUT
        self._recent_taps: OrderedDict[tuple[str, int, str], float] = OrderedDict()

    async def handle(self, press: ButtonPress) -> None:
        action = Action.parse(press.query.data or "")
        if action is None or (action.verb not in TOGGLE_VERBS and self._is_second_tap(press)):
            await self._answer(press)
            return
        task = asyncio.create_task(self._perform(action, press))
        await asyncio.wait({task}, timeout=self.spinner_timeout)
        if not task.done():
            await self._answer(press)
            await self._report_outcome(task, press, late=True)
            return
        await self._report_outcome(task, press, late=False)

    async def _report_outcome(self, task: asyncio.Task[str], press: ButtonPress, *, late: bool) -> None:
        try:
            text = await task
        except (SendError, TelegramError) as error:
            log.info("could not report the outcome of a button press", reason=str(error))
            await self._answer(press)
        except Exception as error:  # noqa: BLE001  (it is logged, and the user must get an answer)
            await self._show_error(error, press, late=late)
        else:
            if not late:
                await self._answer(press, text)

    async def _show_error(self, error: Exception, press: ButtonPress, *, late: bool) -> None:
        request = "a button press"
        if late:
            await self._responder.reply_error(press.context, error, request=request)
            return
        sentence = explain_and_log(error, press.context.language, request=request)
        await self._answer(press, sentence, alert=True)

    def _is_second_tap(self, press: ButtonPress) -> bool:
        now = self._clock()
        tap = (press.context.requester.key, press.message.message_id, press.query.data or "")
        previous = self._recent_taps.pop(tap, None)
        self._recent_taps[tap] = now
        while self._recent_taps and next(iter(self._recent_taps.values())) < now - DOUBLE_TAP_SECONDS:
            self._recent_taps.popitem(last=False)
        return previous is not None and now - previous < DOUBLE_TAP_SECONDS

    async def _answer(self, press: ButtonPress, text: str = "", *, alert: bool = False) -> None:
        """Stop the spinner and show `text`. A query that is too old to answer does not stop the action."""
        short = text if len(text) <= ALERT_LIMIT else text[: ALERT_LIMIT - 1] + "…"
        try:
            await self._responder.messenger.bot.answer_callback_query(
                press.query.id, short or None, show_alert=alert
            )
        except BadRequest as error:
            log.debug("could not answer a button press", reason=error.message)
            if alert:
                await self._responder.reply(press.context, text)
        except TelegramError as error:
            log.warning("could not answer a button press", reason=type(error).__name__)

    async def _perform(self, action: Action, press: ButtonPress) -> str:
        """Perform the action; return the text to show briefly, or an empty string."""
        context, router = press.context, self._router
        match action.verb:
            case "set":
                return await router.preference_commands.toggle_choice(
                    context, action, press.message.message_id
                )
            case "go":
                await self._start_button(action, press)
            case "ask" | "film" | "fix":
                await self._complete_command(action, press)
            case "buy" if router.payments is not None:
                await router.payments.send_invoice(context, action.choice)
            case "refund" if router.payments is not None:
                await self._replace_question(
                    press, await router.payments.refund_own_pack(context, action.job)
                )
            case "forget" | "link" | "nolink":
                await self._replace_question(press, await self._confirm(action, context))
            case "appeal":
                return await router.info_commands.submit_appeal(context, refusal=action.job)
            case verb if verb in REVIEW_VERBS:
                await self._decide_notice(action, press)
            case _:
                return await self._perform_on_clip(action, press)
        return ""

    async def _confirm(self, action: Action, context: MessageContext) -> str:
        """Do what the user was asked to confirm or refuse; return the text that replaces the question."""
        if action.verb == "forget":
            if action.job != owner_number(context):
                raise NotYourButtons
            return await self._router.info_commands.forget(context)
        viewer = self._responder.viewer(context)
        return await account_actions.answer_link_request(
            self._responder.studio, viewer, action.job, agree=action.verb == "link"
        )

    async def _decide_notice(self, action: Action, press: ButtonPress) -> None:
        """Carry out an admin's decision on a notice, remove its buttons and report the result."""
        viewer = self._responder.viewer(press.context)
        answer = await self._responder.studio.decide_review(action, viewer)
        await self._log_failure(
            self._responder.messenger.bot.edit_message_reply_markup(
                press.context.chat, press.message.message_id
            )
        )
        await self._responder.reply(press.context, answer.to_text(press.context.language))

    async def _perform_on_clip(self, action: Action, press: ButtonPress) -> str:
        context, router = press.context, self._router
        job = action.job
        match action.verb:
            case "score" if not action.choice:
                await router.make_commands.show_genre_menu(context, job)
            case "edit":
                await router.make_commands.ask_new_prompt(context, job)
            case "recipe":
                invocation = Invocation(
                    context=context, message=press.message, name="recipe", arguments=str(job)
                )
                await router.info_commands.recipe(invocation)
            case "report":
                return await router.info_commands.submit_report(job, context)
            case "delete":
                return await router.info_commands.delete(job, context, press.message)
            case _:
                reply_to, dedup_key = self._responder.reply_target(context), press.dedup_key
                result = await self._responder.studio.perform(
                    action, self._responder.viewer(context), reply_to, idempotency_key=dedup_key
                )
                return await self._show_result(result, press)
        return ""

    async def _show_result(self, result: Submission | Job, press: ButtonPress) -> str:
        language = press.context.language
        if isinstance(result, Submission):
            await self._responder.announce_job(result, language)
            return ""
        if result.state.is_final:
            text = messages.final_status(result, language)
            await self._responder.messenger.edit_status(self._responder.with_status(result), text, None)
            return text
        return messages.translate(f"state.{result.state}", language)

    async def _start_button(self, action: Action, press: ButtonPress) -> None:
        """Perform one of the two buttons of /start, as if the user had typed the command."""
        name, example_key = ("help", "") if action.choice == "help" else ("video", "example")
        invocation = Invocation(
            context=replace(press.context, message=press.message.message_id),
            message=press.message,
            name=name,
            arguments=example_key and messages.translate(example_key, press.context.language),
            callback_key=press.dedup_key,
        )
        await self._router.perform(invocation)

    async def _complete_command(self, action: Action, press: ButtonPress) -> None:
        """Complete a command by a button; the command is the message that the bot's question replies to."""
        invocation = await self._router.invocation_behind_question(press.message, press.context)
        invocation = replace(invocation, status_message=str(press.message.message_id))
        if action.verb == "fix":
            await self._apply_correction(action.choice, invocation, press)
            return
        chosen = MenuChoices.parse(action.choice)
        if chosen is None:
            raise UnknownChoice("button", action.verb, None)
        if action.verb == "film":
            await self._router.make_commands.submit_with_choices(invocation, chosen)
            return
        keyboard = self._router.make_commands.updated_keyboard(invocation, chosen)
        await self._log_failure(
            self._responder.messenger.bot.edit_message_reply_markup(
                invocation.context.chat, press.message.message_id, reply_markup=keyboard
            )
        )

    async def _apply_correction(self, choice: str, invocation: Invocation, press: ButtonPress) -> None:
        """Repeat the command with the suggested spelling."""
        mistyped, _, correction = choice.partition(">")
        if invocation.name not in self._router.handlers:
            invocation = replace(invocation, name=correction.removeprefix("/"))
        arguments = re.sub(
            re.escape(mistyped), lambda _: correction, invocation.arguments, count=1, flags=re.IGNORECASE
        )
        if invocation.name not in KINDS:
            await self._replace_question(press, f"→ {correction}")
        await self._router.perform(replace(invocation, arguments=arguments))

    async def _replace_question(self, press: ButtonPress, text: str) -> None:
        """Replace an answered question by `text`, without buttons."""
        await self._log_failure(
            self._responder.messenger.bot.edit_message_text(
                text, press.context.chat, press.message.message_id
            )
        )

    async def _log_failure(self, call: Awaitable[object]) -> None:
        try:
            await call
        except TelegramError as error:
            log.debug("could not edit a message with buttons", reason=type(error).__name__)
