"""What an update asks for: its sender, the chat to reply to, and the command with its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram.constants import ChatType

from bot.domain.jobs import ReplyTo, Requester, community_key
from bot.i18n import messages

if TYPE_CHECKING:
    from telegram import Chat, Message, User

PLATFORM = "telegram"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext:
    """One message of a user, with what a reply to it needs."""

    requester: Requester
    chat: int
    message: int
    thread: int | None
    private: bool
    anonymous_admin: bool = False  # an admin who writes in the name of the group

    @property
    def language(self) -> str:
        return self.requester.language

    @property
    def dedup_key(self) -> str:
        """The same for every update that Telegram sends about this message."""
        return f"{PLATFORM}:{self.chat}:{self.message}"

    def reply_to(self, limit: int) -> ReplyTo:
        return ReplyTo(
            platform=PLATFORM,
            chat=str(self.chat),
            message=str(self.message),
            thread=str(self.thread or ""),
            limit=limit,
            private=self.private,
        )


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command with its sender, chat, arguments and message."""

    context: MessageContext
    message: Message
    name: str = ""
    arguments: str = ""
    status_message: str = ""  # id of the bot's message that becomes the job's status message
    callback_key: str = ""  # dedup key of a button press; without one the message is the key
    completes_question: bool = False  # an answer to a question: do not ask again

    @property
    def dedup_key(self) -> str:
        """The same for every update that Telegram sends about this command."""
        return self.callback_key or self.context.dedup_key


def context_of(
    message: Message, sender: User | Chat, *, admins: frozenset[int], language: str
) -> MessageContext:
    chat = message.chat
    return MessageContext(
        requester=requester_of(sender, chat, admins=admins, language=language),
        chat=chat.id,
        message=message.message_id,
        thread=message.message_thread_id if message.is_topic_message else None,
        private=chat.type == ChatType.PRIVATE,
        anonymous_admin=message.sender_chat is not None and message.sender_chat.id == chat.id,
    )


def sender_of(message: Message) -> User | Chat | None:
    """The user, or the group itself for users who write in the name of the group or of a channel.

    One user may own any number of channels, so all who write that way in a group share one identity. None
    for bots.
    """
    if message.is_automatic_forward or message.via_bot is not None:
        return None  # a post of the linked channel, or a clip shared in inline mode
    if message.sender_chat is not None:
        return message.chat
    user = message.from_user
    return None if user is None or user.is_bot else user


def requester_of(
    sender: User | Chat, chat: Chat | None, *, admins: frozenset[int], language: str
) -> Requester:
    return Requester(
        platform=PLATFORM,
        user=str(sender.id),
        name=messages.sanitized(sender.full_name or getattr(sender, "title", None) or "", 64),
        community=community_of(chat),
        admin=sender.id in admins,
        language=language,
    )


def community_of(chat: Chat | None) -> str:
    """Return the key of the group or channel; empty in a private chat."""
    return community_key(PLATFORM, None if chat is None or chat.type == ChatType.PRIVATE else chat.id)


def nearest_language(code: str | None) -> str:
    """The supported language that is nearest to a language code: "pt" for "pt-BR"."""
    return messages.nearest_language(code or "")
