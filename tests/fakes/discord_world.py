"""The state of the loopback Discord: users, servers, channels, messages and files, with their payloads."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH_MS = 1420070400000
EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 6, 1 << 7, 1 << 15
TEXT, DM, THREAD, FORUM = 0, 1, 11, 15
ALL_PERMISSIONS = (1 << 52) - 1
VIEW_CHANNEL = 1 << 10
MIB = 1024 * 1024
JSON = dict[str, Any]

_counter = itertools.count(1)


def snowflake(age: float = 0.0) -> str:
    """Return a new id. Ids contain their creation time; `age` makes it that many seconds older."""
    milliseconds = int((time.time() - age) * 1000) - EPOCH_MS
    return str((milliseconds << 22) | (next(_counter) & 0x3FFFFF))


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(eq=False)
class User:
    name: str
    bot: bool = False
    locale: str = "en-US"
    id: str = field(default_factory=snowflake)
    takes_dms: bool = True

    def payload(self) -> JSON:
        return {
            "id": self.id,
            "username": self.name.lower(),
            "global_name": self.name,
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
            "flags": 0,
            "public_flags": 0,
            "primary_guild": None,
        }


@dataclass(eq=False)
class Channel:
    name: str
    kind: int = TEXT
    guild: Guild | None = None
    parent: Channel | None = None
    recipient: User | None = None
    nsfw: bool = False
    id: str = field(default_factory=snowflake)
    deleted: bool = False
    refusal_code: int | None = None  # the error code of every send: 50001, 50013, ...
    permissions: int = ALL_PERMISSIONS
    hidden: bool = False  # only members with a role of its own see it

    def payload(self) -> JSON:
        shared = {"id": self.id, "type": self.kind, "flags": 0, "last_message_id": None}
        if self.kind == DM:
            return {**shared, "recipients": [self.recipient.payload()] if self.recipient else []}
        assert self.guild is not None
        named = {**shared, "name": self.name, "guild_id": self.guild.id, "rate_limit_per_user": 0}
        if self.kind == THREAD:
            assert self.parent is not None
            return {**named, "parent_id": self.parent.id, **_thread_facts(self.guild.owner.id)}
        overwrites = [{"id": self.guild.id, "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}]
        places = {
            "position": 0,
            "permission_overwrites": overwrites if self.hidden else [],
            "parent_id": None,
            "nsfw": self.nsfw,
        }
        return {**named, **places, "topic": None, "available_tags": []}


def _thread_facts(owner: str) -> JSON:
    metadata = {
        "archived": False,
        "archive_timestamp": now(),
        "auto_archive_duration": 1440,
        "locked": False,
        "create_timestamp": now(),
    }
    return {"owner_id": owner, "message_count": 0, "member_count": 2, "thread_metadata": metadata}


@dataclass(eq=False)
class Role:
    name: str
    id: str = field(default_factory=snowflake)
    permissions: int = 0
    position: int = 1

    def payload(self) -> JSON:
        return {
            "id": self.id,
            "name": self.name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "position": self.position,
            "permissions": str(self.permissions),
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(eq=False)
class Guild:
    name: str
    owner: User
    bot: User
    id: str = field(default_factory=snowflake)
    channels: list[Channel] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    bot_permissions: int = ALL_PERMISSIONS
    has_bot: bool = True  # False if only a user installed the bot
    upload_limit: int = 20 * MIB

    def channel(self, name: str, kind: int = TEXT, **facts: Any) -> Channel:
        channel = Channel(name, kind, self, **facts)
        self.channels.append(channel)
        return channel

    def role(self, name: str) -> Role:
        role = Role(name)
        self.roles.append(role)
        return role

    def payload(self) -> JSON:
        """Return the data of GUILD_CREATE."""
        usual = [channel.payload() for channel in self.channels if channel.kind != THREAD]
        return {
            "id": self.id,
            "name": self.name,
            "owner_id": self.owner.id,
            "icon": None,
            "features": [],
            "roles": [
                Role("@everyone", id=self.id, position=0, permissions=VIEW_CHANNEL).payload(),
                *(role.payload() for role in self.roles),
                Role("Matinee", id=self.bot.id, permissions=self.bot_permissions).payload(),
            ],
            "members": [self.member(self.bot, (self.bot.id,))],
            "channels": usual,
            "threads": [channel.payload() for channel in self.channels if channel.kind == THREAD],
            "emojis": [],
            "stickers": [],
            "member_count": 3,
            "large": False,
            "unavailable": False,
            "joined_at": now(),
            "preferred_locale": "en-US",
            "premium_tier": 0,
            "nsfw_level": 0,
            "verification_level": 0,
            "explicit_content_filter": 0,
            "default_message_notifications": 0,
            "mfa_level": 0,
            "afk_timeout": 300,
            "system_channel_flags": 0,
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
        }

    def member(self, user: User, roles: tuple[str, ...] = ()) -> JSON:
        return {
            "user": user.payload(),
            "roles": list(roles),
            "joined_at": now(),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "nick": None,
            "avatar": None,
            "pending": False,
        }


@dataclass(eq=False)
class Attachment:
    filename: str
    data: bytes
    channel: str
    description: str | None = None
    id: str = field(default_factory=snowflake)

    @property
    def path(self) -> str:
        return f"/attachments/{self.channel}/{self.id}/{self.filename}"

    def payload(self) -> JSON:
        facts: JSON = {"description": self.description} if self.description else {}
        return {
            "id": self.id,
            "filename": self.filename,
            "size": len(self.data),
            "url": f"https://cdn.discordapp.com{self.path}",
            "proxy_url": f"https://media.discordapp.net{self.path}",
            "content_type": _content_type(self.filename),
            **facts,
        }


def _content_type(filename: str) -> str:
    endings = {"mp4": "video/mp4", "png": "image/png", "jpg": "image/jpeg", "json": "application/json"}
    return endings.get(filename.rpartition(".")[2], "application/octet-stream")


@dataclass(eq=False)
class Message:
    channel: Channel
    author: User
    content: str = ""
    components: list[JSON] = field(default_factory=list)
    flags: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    nonce: str | None = None
    reference: str | None = None
    visible_to: User | None = None  # the one user who sees an ephemeral message
    interaction_metadata: JSON | None = None  # the interaction it answers
    mentions: list[str] = field(default_factory=list)
    id: str = field(default_factory=snowflake)
    deleted: bool = False
    edits: int = 0
    sent_at: str = field(default_factory=now)
    edited_at: str | None = None

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    def payload(self) -> JSON:
        facts: JSON = {"nonce": self.nonce} if self.nonce else {}
        if self.reference:
            facts["message_reference"] = {
                "type": 0,
                "message_id": self.reference,
                "channel_id": self.channel.id,
            }
        if self.interaction_metadata:
            facts["interaction_metadata"] = self.interaction_metadata
        return {
            "id": self.id,
            "channel_id": self.channel.id,
            "author": self.author.payload(),
            "content": self.content,
            "timestamp": self.sent_at,
            "edited_timestamp": self.edited_at,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [attachment.payload() for attachment in self.attachments],
            "embeds": [],
            "components": self.components,
            "pinned": False,
            "type": 20 if self.interaction_metadata else 19 if self.reference else 0,
            "flags": self.flags,
            "application_id": self.author.id,
            **facts,
        }


@dataclass(eq=False)
class Interaction:
    """One interaction and its responses. `source` is the message of a pressed button."""

    kind: int
    user: User
    channel: Channel
    data: JSON
    source: Message | None = None
    age: float = 0.0
    id: str = ""
    token: str = field(default_factory=lambda: f"aW50ZXJhY3Rpb246{snowflake()}")
    born: float = field(default_factory=time.monotonic)
    payload: JSON = field(default_factory=dict)
    ack_type: int | None = None
    ack_delay: float = 0.0
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[JSON] | None = None
    modal: JSON | None = None
    token_expired: bool = False  # requests with its token are refused

    def __post_init__(self) -> None:
        self.id = self.id or snowflake(self.age)


@dataclass
class World:
    """The whole state, and a way to wait for changes."""

    bot: User = field(default_factory=lambda: User("Matinee", bot=True))
    users: dict[str, User] = field(default_factory=dict)
    guilds: dict[str, Guild] = field(default_factory=dict)
    dms: dict[str, Channel] = field(default_factory=dict)  # by user id
    messages: dict[str, Message] = field(default_factory=dict)
    interactions: dict[str, Interaction] = field(default_factory=dict)  # by token
    commands: dict[str, JSON] = field(default_factory=dict)  # by "type:name"
    files: dict[str, Attachment] = field(default_factory=dict)  # by path
    presence: JSON | None = None
    team: JSON | None = None  # of the application
    violations: list[str] = field(default_factory=list)
    transcript: list[JSON] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def user(self, name: str, **facts: Any) -> User:
        user = User(name, **facts)
        self.users[user.id] = user
        return user

    def guild(self, name: str = "Cinema", **facts: Any) -> Guild:
        guild = Guild(name, owner=self.user("Owner"), bot=self.bot, **facts)
        self.guilds[guild.id] = guild
        return guild

    def dm(self, user: User) -> Channel:
        return self.dms.setdefault(user.id, Channel(f"@{user.name}", DM, recipient=user))

    def channel(self, number: str) -> Channel | None:
        known = [channel for guild in self.guilds.values() for channel in guild.channels]
        known += self.dms.values()
        return next((channel for channel in known if channel.id == number), None)

    def post(self, message: Message) -> Message:
        self.messages[message.id] = message
        self.files.update({attachment.path: attachment for attachment in message.attachments})
        self.notify_change()
        return message

    def visible(self, channel: Channel) -> list[Message]:
        return [m for m in self.messages.values() if m.channel is channel and not m.deleted]

    def notify_change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self, *, within: float) -> None:
        async with asyncio.timeout(within):
            await self._changed.wait()

    async def wait_until(self, condition: Callable[[], Any], *, within: float = 30.0) -> Any:
        """Wait until `condition()` is truthy and return its value; it is evaluated after every change."""
        async with asyncio.timeout(within):
            while not (found := condition()):
                await self._changed.wait()
            return found
