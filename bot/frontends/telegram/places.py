"""Who asks and where the answer goes, read from an update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram.constants import ChatType

from bot import messages
from bot.job import ReplyTo, Requester

if TYPE_CHECKING:
    from telegram import Chat, Message, User

NAME = "telegram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One message of a person's, and all that an answer to it needs."""

    requester: Requester
    chat: int
    message: int
    thread: int | None
    private: bool

    @property
    def language(self) -> str:
        return self.requester.language

    @property
    def update(self) -> str:
        """The same for every time Telegram tells us of this message."""
        return f"{NAME}:{self.chat}:{self.message}"

    def reply_to(self, limit: int) -> ReplyTo:
        return ReplyTo(
            platform=NAME,
            chat=str(self.chat),
            message=str(self.message),
            thread=str(self.thread or ""),
            limit=limit,
            private=self.private,
        )


def place_of(message: Message, user: User, *, admins: frozenset[int], language: str | None = None) -> Place:
    chat = message.chat
    private = chat.type == ChatType.PRIVATE
    return Place(
        requester=requester(user, chat, admins=admins, language=language),
        chat=chat.id,
        message=message.message_id,
        thread=message.message_thread_id if message.is_topic_message else None,
        private=private,
    )


def requester(
    user: User, chat: Chat | None, *, admins: frozenset[int], language: str | None = None
) -> Requester:
    grouped = chat is not None and chat.type != ChatType.PRIVATE
    return Requester(
        platform=NAME,
        user=str(user.id),
        name=messages.quoted(user.full_name, 64),
        community=f"{NAME}:{chat.id}" if grouped and chat is not None else "",
        admin=user.id in admins,
        language=language or spoken(user.language_code),
    )


def spoken(code: str | None) -> str:
    """The nearest language that Matinee speaks: "pt-BR" is told in Portuguese."""
    return messages.nearest(code or "")
