"""Parse messages into invocations and call the handler of each command."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from telegram import Chat

from bot.admin.admin import VERBS
from bot.domain.errors import MessageGone, NotAllowed, NotYourButtons
from bot.frontends.telegram import attached_files, questions
from bot.frontends.telegram.command_menu import USER_COMMANDS
from bot.frontends.telegram.info_commands import InfoCommands
from bot.frontends.telegram.make_commands import MakeCommands
from bot.frontends.telegram.message_context import Invocation, MessageContext, sender_of
from bot.frontends.telegram.preferences import PreferenceCommands
from bot.frontends.telegram.start_command import StartCommand
from bot.frontends.telegram.update_replies import CommandHandler, Responder
from bot.i18n import messages
from generation.errors import UnknownChoice
from generation.request import closest_match

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.star_payments import StarPayments

COMMAND = re.compile(r"/([a-zA-Z0-9_]{1,32})(?:@([a-zA-Z0-9_]+))?(?:\s+|$)")


class CommandRouter:
    def __init__(self, responder: Responder, payments: StarPayments | None = None) -> None:
        self.responder = responder
        self.payments = payments
        self.make_commands = MakeCommands(responder)
        self.info_commands = InfoCommands(responder)
        self.preference_commands = PreferenceCommands(responder)
        self.handlers: dict[str, CommandHandler] = {
            **self.make_commands.handlers,
            **self.info_commands.handlers,
            **self.preference_commands.handlers,
            **StartCommand(responder).handlers,
            **(payments.handlers if payments else {}),
            "admin": self.admin,
        }

    def parse_message(self, message: Message, context: MessageContext) -> Invocation | None:
        """The invocation that a message contains, or None if it is not meant for the bot."""
        text = message.text or message.caption or ""
        found = COMMAND.match(text)
        if found is not None:
            return self._parse_command(found, message, context)
        if pending := questions.parse_answer(message, self.responder.messenger.bot.id):
            arguments = text if pending.name == "edit" else f"{pending.arguments} {text}".strip()
            number = pending.arguments if pending.name == "edit" else ""
            return Invocation(
                context=context,
                message=message,
                name=f"{pending.name}{number}",
                arguments=arguments,
                completes_question=True,
            )
        if not context.private or (message.media_group_id and not text):
            return None
        return Invocation(context=context, message=message, name="", arguments=text)

    def _parse_command(
        self, found: re.Match[str], message: Message, context: MessageContext
    ) -> Invocation | None:
        name, bot, arguments = found[1].lower(), found[2], arguments_after(message, found.end())
        if bot and bot.lower() != self.responder.messenger.bot.username.lower():
            return None
        if message.forward_origin and (name == "admin" or not context.private):
            return None  # somebody else wrote it
        if not context.private and not (bot or name in self.handlers):
            return None  # a command for another bot
        return Invocation(context=context, message=message, name=name, arguments=arguments)

    async def perform(self, invocation: Invocation) -> None:
        """Perform the command. Errors are reported to the user."""
        await self.responder.run_handler(self._handler_for(invocation), invocation)

    def _handler_for(self, invocation: Invocation) -> CommandHandler:
        if not invocation.name:
            return self._offer_scene
        if invocation.completes_question and invocation.name.startswith("edit"):
            return self._edit_prompt
        return self.handlers.get(invocation.name, self._unknown_command)

    async def _edit_prompt(self, invocation: Invocation) -> None:
        await self.make_commands.edit_prompt(invocation, int(invocation.name.removeprefix("edit")))

    async def _unknown_command(self, invocation: Invocation) -> None:
        meant = closest_match(invocation.name, USER_COMMANDS)
        raise UnknownChoice("command", f"/{invocation.name}", meant and f"/{meant}")

    async def _offer_scene(self, invocation: Invocation) -> None:
        """Show the option menu for a sentence or picture that was sent in private without a command."""
        picture = attached_files.find_image(invocation.message)
        if not invocation.arguments and picture is None:
            await self.responder.reply(
                invocation.context, messages.translate("hint", invocation.context.language)
            )
            return
        await self.make_commands.show_option_menu(
            replace(invocation, name=_default_command(invocation.message))
        )

    async def admin(self, invocation: Invocation) -> None:
        """/admin VERB, with the same verbs as in the terminal: /admin quota grant 42 5"""
        context = invocation.context
        if not context.requester.admin:
            raise NotAllowed("admin")
        if not invocation.arguments:
            await self.responder.reply(context, "\n".join(f"/admin {verb.usage}" for verb in VERBS.values()))
            return
        viewer = self.responder.viewer(context)
        answer = await self.responder.studio.administer(invocation.arguments, viewer)
        await self.responder.reply(context, answer.to_text(context.language))

    async def invocation_behind_question(self, question: Message, context: MessageContext) -> Invocation:
        """The invocation in the message that the bot's question replies to.

        Raises MessageGone if that message was deleted, and NotYourButtons if its author is another user.
        """
        message = question.reply_to_message
        if message is None:
            raise MessageGone
        author = sender_of(message)
        anonymous = isinstance(author, Chat) and author.id == context.chat
        if author is None or not (
            str(author.id) == context.requester.user
            or (anonymous and await self.responder.is_chat_admin(context))
        ):
            raise NotYourButtons
        invocation = self.parse_message(message, replace(context, message=message.message_id))
        if invocation is None or not invocation.name:
            text = message.text or message.caption or ""
            context = replace(context, message=message.message_id)
            return Invocation(
                context=context, message=message, name=_default_command(message), arguments=text
            )
        return invocation


def _default_command(message: Message) -> str:
    return "animate" if attached_files.find_image(message) else "video"


def arguments_after(message: Message, after: int) -> str:
    return (message.text or message.caption or "")[after:].strip()
