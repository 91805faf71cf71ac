"""The REST API of the loopback Discord: what each path does and what it refuses."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.discord_validation import ApiError, check_choices, check_commands, check_message, check_modal
from tests.fakes.discord_world import (
    COMPONENTS_V2,
    DM,
    EPHEMERAL,
    JSON,
    LOADING,
    MIB,
    Attachment,
    Channel,
    Interaction,
    Message,
    User,
    World,
    now,
)

NONCE_SECONDS = 180.0
MAX_REQUEST_BYTES = 25 * MIB
MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
ALLOWED_CALLBACKS = {
    2: {MESSAGE, DEFERRED, MODAL},
    3: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL},
    4: {CHOICES},
}
ALLOWED_CALLBACKS[5] = ALLOWED_CALLBACKS[3] - {MODAL}


@dataclass
class Call:
    """One parsed request."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    files: dict[str, tuple[str, bytes]]  # part name -> filename, bytes
    parts: tuple[str, ...] = ()  # the groups of the path pattern


Handler = Callable[[Call], Awaitable[JSON | list[JSON] | None]]
ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def route(method: str, pattern: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        ROUTES.append((method, re.compile(f"/api/v10{pattern}"), function.__name__))
        return function

    return register


ACK_DEADLINE = 15.0
"""Seconds. Longer than Discord's 3 s, so that a busy test machine does not cause failures."""


@dataclass
class Rest:
    world: World
    ack_deadline: float = ACK_DEADLINE
    _nonces: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def find(self, call: Call) -> Handler:
        for method, pattern, name in ROUTES:
            found = pattern.fullmatch(call.path)
            if found and method == call.method:
                call.parts = found.groups()
                handler: Handler = getattr(self, name)
                return handler
        self.world.violations.append(f"no such path: {call.method} {call.path}")
        raise ApiError(404, 0, "404: Not Found")

    def forget_nonces(self) -> None:
        """Forget all nonces, as Discord does after some minutes."""
        self._nonces.clear()

    # The application

    @route("GET", "/users/@me")
    async def me(self, _: Call) -> JSON:
        return {**self.world.bot.payload(), "verified": True, "mfa_enabled": True, "locale": "en-US"}

    @route("GET", "/oauth2/applications/@me")
    async def application(self, _: Call) -> JSON:
        return {**application(self.world.bot), "team": self.world.team}

    @route("GET", "/gateway/bot")
    async def gateway(self, _: Call) -> JSON:
        starts = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 16}
        return {"url": "wss://gateway.discord.gg", "shards": 2, "session_start_limit": starts}

    @route("PUT", "/applications/(\\d+)/commands")
    async def sync_commands(self, call: Call) -> list[JSON]:
        check_commands(call.body)
        facts = {"application_id": self.world.bot.id, "version": "1"}
        known = self.world.commands
        kept = {f"{c.get('type', 1)}:{c['name']}": c for c in call.body}
        self.world.commands = {
            key: _registered_command(command)
            | {
                "id": known.get(key, {}).get("id") or str(9000 + n),
                **facts,
            }
            for n, (key, command) in enumerate(kept.items())
        }
        self.world.notify_change()
        return list(self.world.commands.values())

    # Interactions and their webhooks

    @route("POST", "/interactions/(\\d+)/([^/]+)/callback")
    async def callback(self, call: Call) -> JSON | None:
        interaction = self.world.interactions.get(call.parts[1])
        if interaction is None or interaction.id != call.parts[0]:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.ack_type is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        elapsed = time.monotonic() - interaction.born
        if elapsed > self.ack_deadline:
            raise ApiError(404, 10062, "Unknown interaction")
        kind = call.body["type"]
        if kind not in ALLOWED_CALLBACKS[interaction.kind]:
            raise ApiError(400, 50035, f"callback {kind} to an interaction of type {interaction.kind}")
        data = call.body.get("data") or {}
        self._acknowledge(interaction, kind, data, call)
        interaction.ack_type, interaction.ack_delay = kind, elapsed
        self.world.notify_change()
        return _callback_response(interaction, kind) if call.query.get("with_response") else None

    def _acknowledge(self, interaction: Interaction, kind: int, data: JSON, call: Call) -> None:
        if kind in {MESSAGE, DEFERRED}:
            private = data.get("flags", 0) & EPHEMERAL
            loading = LOADING if kind == DEFERRED else 0
            blank = Message(
                interaction.channel,
                self.world.bot,
                flags=private | loading,
                interaction_metadata=_interaction_metadata(interaction),
                visible_to=interaction.user if private else None,
            )
            if kind == MESSAGE:
                self._update_message(blank, data, call, limit=interaction.payload["attachment_size_limit"])
            interaction.original = self.world.post(blank)
        elif kind == DEFERRED_UPDATE:
            interaction.original = interaction.source
        elif kind == UPDATE:
            assert interaction.source is not None
            self._update_message(
                interaction.source, data, call, limit=interaction.payload["attachment_size_limit"]
            )
            interaction.original = interaction.source
        elif kind == CHOICES:
            check_choices(data["choices"])
            interaction.choices = data["choices"]
        elif kind == MODAL:
            check_modal(data)
            interaction.modal = data

    def _acknowledged_interaction(self, token: str) -> Interaction:
        interaction = self.world.interactions.get(token)
        if interaction is None or interaction.ack_type is None:
            raise ApiError(404, 10015, "Unknown Webhook")
        if interaction.token_expired:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    @route("POST", "/webhooks/\\d+/([^/]+)")
    async def follow_up(self, call: Call) -> JSON:
        interaction = self._acknowledged_interaction(call.parts[0])
        guild = interaction.channel.guild
        if guild is not None and not guild.has_bot and len(interaction.followups) >= 5:
            raise ApiError(400, 40094, "Maximum number of follow-up messages reached")
        first = interaction.original
        if first is not None and first.flags & LOADING and not first.deleted:
            self._update_message(first, call.body, call, limit=interaction.payload["attachment_size_limit"])
            return first.payload()  # keeps the visibility of the acknowledgement
        private = (call.body.get("flags") or 0) & EPHEMERAL
        message = Message(
            interaction.channel,
            self.world.bot,
            visible_to=interaction.user if private else None,
            interaction_metadata=_interaction_metadata(interaction),
            flags=private,
        )
        self._update_message(message, call.body, call, limit=interaction.payload["attachment_size_limit"])
        interaction.followups.append(self.world.post(message))
        return message.payload()

    @route("GET", "/webhooks/\\d+/([^/]+)/messages/(@original|\\d+)")
    async def read_own(self, call: Call) -> JSON:
        return self._own_message(call).payload()

    @route("PATCH", "/webhooks/\\d+/([^/]+)/messages/(@original|\\d+)")
    async def edit_own(self, call: Call) -> JSON:
        message = self._own_message(call)
        limit = self._acknowledged_interaction(call.parts[0]).payload["attachment_size_limit"]
        self._update_message(message, call.body, call, limit=limit)
        return message.payload()

    @route("DELETE", "/webhooks/\\d+/([^/]+)/messages/(@original|\\d+)")
    async def delete_own(self, call: Call) -> None:
        self._own_message(call).deleted = True
        self.world.notify_change()

    def _own_message(self, call: Call) -> Message:
        interaction = self._acknowledged_interaction(call.parts[0])
        mine = [interaction.original, *interaction.followups]
        message = mine[0] if call.parts[1] == "@original" else self.world.messages.get(call.parts[1])
        if message is None or message.deleted or message not in mine:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    # Channels

    @route("POST", "/users/@me/channels")
    async def open_dm(self, call: Call) -> JSON:
        user = self.world.users.get(str(call.body["recipient_id"]))
        if user is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return self.world.dm(user).payload()

    def _channel(self, call: Call, *, sending: bool = False) -> Channel:
        channel = self.world.channel(call.parts[0])
        if channel is None or channel.deleted:
            raise ApiError(404, 10003, "Unknown Channel")
        if channel.guild is not None and not channel.guild.has_bot:
            raise ApiError(403, 50001, "Missing Access")
        if channel.refusal_code == 50001 or (sending and channel.refusal_code):
            raise ApiError(403, channel.refusal_code or 0, "Missing Access or Permissions")
        if sending and channel.kind == DM and channel.recipient and not channel.recipient.takes_dms:
            raise ApiError(403, 50007, "Cannot send messages to this user")
        return channel

    @route("GET", "/channels/(\\d+)")
    async def read_channel(self, call: Call) -> JSON:
        return self._channel(call).payload()

    @route("POST", "/channels/(\\d+)/messages")
    async def send(self, call: Call) -> JSON:
        channel = self._channel(call, sending=True)
        nonce = call.body.get("nonce")
        if nonce and call.body.get("enforce_nonce"):
            kept = self._nonces.get((channel.id, nonce))
            if kept and time.monotonic() - kept[0] < NONCE_SECONDS:
                return self.world.messages[kept[1]].payload()
        message = Message(channel, self.world.bot, nonce=nonce, reference=self._reference(call.body))
        self._update_message(
            message, call.body, call, limit=channel.guild.upload_limit if channel.guild else 20 * MIB
        )
        if nonce:
            self._nonces[channel.id, nonce] = (time.monotonic(), message.id)
        return self.world.post(message).payload()

    def _reference(self, body: JSON) -> str | None:
        reference = body.get("message_reference")
        if not reference:
            return None
        target = self.world.messages.get(str(reference["message_id"]))
        if target is None or target.deleted or target.ephemeral:
            if reference.get("fail_if_not_exists", True):
                raise ApiError(400, 50035, "message_reference: Unknown message")
            return None
        return target.id

    @route("GET", "/channels/(\\d+)/messages")
    async def history(self, call: Call) -> list[JSON]:
        seen = [m for m in self.world.visible(self._channel(call)) if not m.ephemeral]
        after, before = int(call.query.get("after", 0)), int(call.query.get("before", 1 << 63))
        chosen = sorted(
            (m for m in seen if after < int(m.id) < before), key=lambda m: int(m.id), reverse=True
        )
        most = int(call.query.get("limit", 50))
        return [m.payload() for m in (chosen[-most:] if "after" in call.query else chosen[:most])]

    def _message(self, call: Call) -> Message:
        channel, message = self._channel(call), self.world.messages.get(call.parts[1])
        if message is None or message.deleted or message.ephemeral or message.channel is not channel:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    @route("GET", "/channels/(\\d+)/messages/(\\d+)")
    async def read(self, call: Call) -> JSON:
        return self._message(call).payload()

    @route("PATCH", "/channels/(\\d+)/messages/(\\d+)")
    async def edit(self, call: Call) -> JSON:
        message = self._message(call)
        if message.author is not self.world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        guild = message.channel.guild
        self._update_message(message, call.body, call, limit=guild.upload_limit if guild else 20 * MIB)
        return message.payload()

    @route("DELETE", "/channels/(\\d+)/messages/(\\d+)")
    async def delete(self, call: Call) -> None:
        self._message(call).deleted = True
        self.world.notify_change()

    # Message content

    def _update_message(self, message: Message, body: JSON, call: Call, *, limit: int) -> None:
        """Apply `body` to `message`, or raise ApiError and change nothing."""
        flags = (message.flags | (body.get("flags") or 0)) & ~LOADING
        if message.flags & COMPONENTS_V2 and "flags" in body and not body["flags"] & COMPONENTS_V2:
            raise ApiError(400, 50035, "the V2 flag cannot be removed")
        attachments = self._attachments(message, body, call, limit)
        filled: JSON = {
            "content": message.content if body.get("content") is None else body["content"],
            "components": body["components"] if body.get("components") is not None else message.components,
        }
        if "content" in body and body["content"] is None:
            filled["content"] = ""
        names = {attachment.filename for attachment in attachments}
        check_message({**body, **filled}, flags=flags, filenames=names)
        message.content, message.components = filled["content"], filled["components"]
        message.flags, message.attachments = flags, attachments
        if message.id in self.world.messages:
            message.edits, message.edited_at = message.edits + 1, now()
        message.mentions = [str(user) for user in (body.get("allowed_mentions") or {}).get("users", [])]
        self.world.files.update({attachment.path: attachment for attachment in attachments})
        self.world.notify_change()

    def _attachments(self, message: Message, body: JSON, call: Call, limit: int) -> list[Attachment]:
        if any(len(data) > limit for _, data in call.files.values()):
            raise ApiError(413, 40005, "Request entity too large")
        if sum(len(data) for _, data in call.files.values()) > MAX_REQUEST_BYTES:
            raise ApiError(413, 40005, "Request entity too large")
        listed = body.get("attachments")
        if listed is None:
            return list(message.attachments)
        kept = {attachment.id: attachment for attachment in message.attachments}
        chosen = []
        for item in listed:
            uploaded = call.files.get(f"files[{item['id']}]")
            if uploaded is not None:
                name, data = item.get("filename", uploaded[0]), uploaded[1]
                chosen.append(Attachment(name, data, message.channel.id, item.get("description")))
            elif str(item["id"]) in kept:
                chosen.append(kept[str(item["id"])])
            else:
                raise ApiError(400, 50035, f"attachment {item['id']} was not uploaded")
        return chosen


def _registered_command(command: JSON) -> JSON:
    """Return a command as the API does: permissions as text, without null values."""
    needed = command.get("default_member_permissions")
    named = {key: value for key, value in command.items() if value is not None}
    return {
        "type": 1,
        "description": "",
        **named,
        "default_member_permissions": None if needed is None else str(needed),
    }


def application(bot: User) -> JSON:
    named = {"id": bot.id, "name": bot.name, "icon": None, "description": "", "verify_key": "0" * 64}
    counts = ("approximate_guild_count", "approximate_user_install_count")
    nothing = ("interactions_endpoint_url", "role_connections_verification_url", "team", "type")
    return {
        **named,
        **dict.fromkeys(counts, 1),
        **dict.fromkeys(nothing),
        "approximate_user_authorization_count": 0,
        "bot_public": True,
        "bot_require_code_grant": False,
        "eligible_oauth2_scopes": [],
        "explicit_content_filter": 0,
        "flags": 0,
        "flags_new": "0",
        "owner": {**User("Owner").payload(), "global_name": "Owner"},
        "redirect_uris": [],
    }


def _interaction_metadata(interaction: Interaction) -> JSON:
    owners = interaction.payload["authorizing_integration_owners"]
    shared = {
        "id": interaction.id,
        "user": interaction.user.payload(),
        "authorizing_integration_owners": owners,
    }
    if interaction.kind == 2:
        return {**shared, "type": 2, "name": interaction.data.get("name", ""), "command_type": 1}
    pressed = {
        **shared,
        "type": 3,
        "interacted_message_id": interaction.source.id if interaction.source else "1",
    }
    return (
        pressed
        if interaction.kind == 3
        else {**shared, "type": 5, "triggering_interaction_metadata": pressed}
    )


def _callback_response(interaction: Interaction, kind: int) -> JSON:
    facts: JSON = {"id": interaction.id, "type": interaction.kind}
    answer: JSON = {"interaction": facts}
    if kind in {MESSAGE, DEFERRED, UPDATE} and interaction.original is not None:
        facts["response_message_id"] = interaction.original.id
        facts["response_message_loading"] = kind == DEFERRED
        facts["response_message_ephemeral"] = interaction.original.ephemeral
    if kind in {MESSAGE, UPDATE} and interaction.original is not None:
        answer["resource"] = {"type": kind, "message": interaction.original.payload()}
    return answer
