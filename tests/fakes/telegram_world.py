"""The state of the loopback Bot API: users, chats, messages and files."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.telegram_validation import FILE_LIMIT, ApiError, FloodControl, bad_request

BOT_ID = 7_000_001
BOT = {
    "id": BOT_ID,
    "is_bot": True,
    "first_name": "Matinee",
    "username": "matinee_bot",
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": True,
}


@dataclass
class Person:
    id: int
    first_name: str
    language_code: str = "en"
    username: str = ""

    def to_json(self) -> dict[str, Any]:
        name = {"username": self.username} if self.username else {}
        return {
            "id": self.id,
            "is_bot": False,
            "first_name": self.first_name,
            "language_code": self.language_code,
            **name,
        }


@dataclass
class Chat:
    id: int
    type: str = "private"
    title: str = ""
    is_forum: bool = False
    admins: set[int] = field(default_factory=set)
    topics: set[int] = field(default_factory=set)
    blocked: str = ""  # why the bot may no longer write here, in the server's words; empty if it may
    migrated_to: int | None = None
    flood_control: FloodControl | None = None
    slow_mode: float = 0.0  # seconds between two new messages of one sender; edits do not count
    slow_until: float = 0.0
    closed_topics: set[int] = field(default_factory=set)

    def apply_slow_mode(self) -> None:
        """Count one new message. Raises ApiError while slow mode forbids it."""
        wait = self.slow_until - time.monotonic()
        if self.slow_mode and wait > 0:
            seconds = max(1, round(wait))
            raise ApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
        self.slow_until = time.monotonic() + self.slow_mode

    def to_json(self) -> dict[str, Any]:
        named = {"first_name": self.title} if self.type == "private" else {"title": self.title}
        return {
            "id": self.id,
            "type": self.type,
            **named,
            **({"is_forum": True} if self.is_forum else {}),
        }


@dataclass
class Message:
    id: int
    chat: Chat
    sender: Person | None = None  # None is the bot itself
    text: str = ""
    entities: list[dict[str, Any]] = field(default_factory=list)
    media: dict[str, Any] = field(default_factory=dict)  # {"video": {...}}, {"photo": [...]}, ...
    keyboard: dict[str, Any] | None = None
    thread: int | None = None
    reply_to: Message | None = None
    spoiler: bool = False
    deleted: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=list)
    date: int = field(default_factory=lambda: int(time.time()))

    @property
    def from_bot(self) -> bool:
        return self.sender is None

    @property
    def kind(self) -> str:
        return next(iter(self.media), "text")

    @property
    def file_id(self) -> str:
        """The file id of the media; for a photo that of the largest size."""
        content = self.media[self.kind]
        return str(content[-1]["file_id"] if isinstance(content, list) else content["file_id"])

    @property
    def buttons(self) -> list[dict[str, Any]]:
        rows = (self.keyboard or {}).get("inline_keyboard", [])
        return [button for row in rows for button in row]

    def button(self, label: str) -> dict[str, Any]:
        """The first button whose text contains `label`."""
        found = [button for button in self.buttons if label.lower() in button["text"].lower()]
        assert found, f"no button contains {label!r}: {[button['text'] for button in self.buttons]}"
        return found[0]

    def same_as(self, text: str, entities: list[dict[str, Any]], keyboard: dict[str, Any] | None) -> bool:
        return (self.text, self.entities, self.keyboard) == (text, entities, keyboard)

    def to_json(self, *, deep: bool = True) -> dict[str, Any]:
        text = {"caption" if self.media else "text": self.text} if self.text else {}
        entities = {"caption_entities" if self.media else "entities": self.entities} if self.entities else {}
        topic = {"message_thread_id": self.thread, "is_topic_message": True} if self.thread else {}
        return {
            "message_id": self.id,
            "from": self.sender.to_json() if self.sender else _bot_user(),
            "chat": self.chat.to_json(),
            "date": self.date,
            **text,
            **entities,
            **self.media,
            **({"reply_markup": self.keyboard} if self.buttons else {}),
            **topic,
            **({"has_media_spoiler": True} if self.spoiler else {}),
            **({"reply_to_message": self.reply_to.to_json(deep=False)} if self.reply_to and deep else {}),
            **self.extra,
        }


def _bot_user() -> dict[str, Any]:
    return {key: BOT[key] for key in ("id", "is_bot", "first_name", "username")}


@dataclass
class World:
    """All state of the server. Users, chats, messages, files and queries take their ids from one counter."""

    people: dict[int, Person] = field(default_factory=dict)
    chats: dict[int, Chat] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    index: dict[tuple[int, int], Message] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    commands: dict[tuple[str, str], list[dict[str, str]]] = field(default_factory=dict)
    queries: set[str] = field(default_factory=set)  # unanswered callback, inline and checkout queries
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[int, str] = field(default_factory=dict)  # message id -> payload
    charges: dict[str, int] = field(default_factory=dict)  # charge id -> id of the user who paid
    refunded: set[str] = field(default_factory=set)
    file_limit: int = FILE_LIMIT
    shared_folder: Path | None = None  # where a Bot API server with --local shares files with the bot
    private_flood_limit: tuple[int, float] = (10, 1.0)
    """How many messages at once a private chat takes, and seconds for each one after that."""
    group_flood_limit: tuple[int, float] = (20, 3.0)
    last_id: int = 100

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def add_person(self, name: str, *, language: str = "en", username: str = "") -> Person:
        person = Person(self.next_id(), name, language, username)
        self.people[person.id] = person
        self.chats[person.id] = Chat(person.id, title=name)
        return person

    def add_group(
        self,
        title: str,
        *,
        forum: bool = False,
        admins: tuple[Person, ...] = (),
        topics: tuple[int, ...] = (),
    ) -> Chat:
        number = -1_000_000_000_000 - self.next_id()
        chat = Chat(number, "supergroup", title, forum, {person.id for person in admins}, set(topics))
        self.chats[number] = chat
        return chat

    def store_file(self, content: bytes) -> dict[str, Any]:
        """Store a file; return its description as Telegram gives it."""
        name = f"file{self.next_id()}"
        self.files[name] = content
        if self.shared_folder is not None:
            (self.shared_folder / name).write_bytes(content)
        return {"file_id": name, "file_unique_id": f"u{name}", "file_size": len(content)}

    def writable_chat(self, chat_id: object) -> Chat:
        """The chat with this id. Raises ApiError if the bot may not write there."""
        chat = self.chats.get(chat_id) if isinstance(chat_id, int) else None
        if chat is None:
            raise bad_request("chat not found")
        if chat.migrated_to is not None:
            raise ApiError(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.migrated_to,
            )
        if chat.blocked:
            raise ApiError(403, f"Forbidden: {chat.blocked}")
        return chat

    def flood_control_of(self, chat: Chat) -> FloodControl:
        if chat.flood_control is None:
            chat.flood_control = FloodControl(
                *(self.private_flood_limit if chat.type == "private" else self.group_flood_limit)
            )
        return chat.flood_control

    def find_message(self, chat: Chat, message_id: object) -> Message | None:
        found = self.index.get((chat.id, message_id)) if isinstance(message_id, int) else None
        return None if found is None or found.deleted else found

    def add_message(self, message: Message) -> Message:
        self.messages.append(message)
        self.index[message.chat.id, message.id] = message
        return message

    def bot_messages(self, chat: Chat | Person) -> list[Message]:
        """The bot's messages in a chat, oldest first."""
        return [m for m in self.messages if m.chat.id == chat.id and m.from_bot and not m.deleted]
