"""Users of the loopback Discord: they send commands, press buttons, fill in forms and read answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_validation import BUTTON, SELECTS, walk
from tests.fakes.discord_world import (
    ALL_PERMISSIONS,
    JSON,
    MIB,
    Attachment,
    Channel,
    Interaction,
    Message,
    Role,
    User,
)

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
SUBCOMMAND, SUBCOMMAND_GROUP, STRING, INTEGER, NUMBER, ATTACHMENT = 1, 2, 3, 4, 10, 11


def text_of(message: Message) -> str:
    """Return all texts of a message, one per line."""
    lines = [message.content, *(c["content"] for c in walk(message.components) if c["type"] == 10)]
    return "\n".join(line for line in lines if line)


def labels(message: Message) -> list[str]:
    return [
        c.get("label") or c.get("placeholder") or "" for c in walk(message.components) if "custom_id" in c
    ]


@dataclass(eq=False)
class Reply:
    """The answer to one interaction."""

    server: DiscordServer
    interaction: Interaction

    async def message(self, *, within: float = 30.0) -> Message:
        """Wait for an answer that is more than "thinking"."""
        world = self.server.world

        def answered() -> Message | None:
            shown = (self.interaction.original, *self.interaction.followups)
            return next((m for m in shown if m and not m.deleted and (m.content or m.components)), None)

        found: Message = await world.wait_until(answered, within=within)
        return found

    async def says(self, *texts: str, within: float = 30.0) -> Message:
        """Wait for an answer that contains all the texts."""

        def matching() -> Message | None:
            candidates = [self.interaction.original, *self.interaction.followups]
            for message in candidates:
                if message and not message.deleted and all(text in text_of(message) for text in texts):
                    return message
            return None

        try:
            found: Message = await self.server.world.wait_until(matching, within=within)
        except TimeoutError:
            shown = [text_of(m) for m in (self.interaction.original, *self.interaction.followups) if m]
            raise AssertionError(f"no answer with {texts}, only {shown}") from None
        return found

    async def modal(self, *, within: float = 10.0) -> JSON:
        found: JSON = await self.server.world.wait_until(lambda: self.interaction.modal, within=within)
        return found

    async def acknowledged(self, *, within: float = 30.0) -> int:
        await self.server.world.wait_until(lambda: self.interaction.ack_type is not None, within=within)
        assert self.interaction.ack_type is not None
        return self.interaction.ack_type


@dataclass(eq=False)
class Person:
    """A user in a channel, with the roles and permissions that the server gave them."""

    server: DiscordServer
    user: User
    channel: Channel
    roles: tuple[str, ...] = ()
    permissions: int = 0
    upload_limit: int = 20 * MIB

    @property
    def mention(self) -> str:
        return f"<@{self.user.id}>"

    async def types(self, line: str, /, *, age: float = 0.0, **options: Any) -> Reply:
        """Send a slash command as the client does: "/video", "/server channel"."""
        data = self._command_data(line, options)
        return await self._send_interaction(COMMAND, data, age=age)

    async def completes(self, line: str, /, focused: str, **options: Any) -> list[JSON]:
        """Return the autocomplete choices for the option `focused`."""
        data = self._command_data(line, options, focused=focused)
        reply = await self._send_interaction(AUTOCOMPLETE, data)
        interaction = reply.interaction
        await self.server.world.wait_until(lambda: interaction.choices is not None, within=10)
        return interaction.choices or []

    async def uses_menu(self, name: str, target: Message) -> Reply:
        """Choose a command from the context menu of a message."""
        command = self.server.world.commands[f"3:{name}"]
        data = {"id": command["id"], "name": name, "type": 3, "target_id": target.id}
        return await self._send_interaction(
            COMMAND, {**data, "resolved": {"messages": {target.id: target.payload()}}}
        )

    async def clicks(self, message: Message, label: str) -> Reply:
        """Press the button whose label contains this text."""
        button = _find_component(message, label, {BUTTON})
        assert not button.get("disabled"), f"{label} cannot be pressed"
        return await self._send_interaction(
            COMPONENT, {"custom_id": button["custom_id"], "component_type": BUTTON}, source=message
        )

    async def forges(self, message: Message, custom_id: str) -> Reply:
        """Press a button that only a manipulated client shows on this message."""
        message.components = [
            {"type": 1, "components": [{"type": BUTTON, "style": 2, "label": "?", "custom_id": custom_id}]}
        ]
        data = {"custom_id": custom_id, "component_type": BUTTON}
        return await self._send_interaction(COMPONENT, data, source=message)

    async def picks(self, message: Message, placeholder: str, *values: str) -> Reply:
        select = _find_component(message, placeholder, SELECTS)
        offered = {option["value"] for option in select["options"]}
        assert offered >= set(values), f"{values} not among {offered}"
        data = {"custom_id": select["custom_id"], "component_type": select["type"], "values": list(values)}
        return await self._send_interaction(COMPONENT, data, source=message)

    async def fills(self, reply: Reply, **answers: str | list[str]) -> Reply:
        """Submit the form that `reply` opened; fields without an answer keep their value."""
        modal = await reply.modal()
        assert set(answers) <= {c["custom_id"] for c in walk(modal["components"]) if "custom_id" in c}
        data = {
            "custom_id": modal["custom_id"],
            "components": [_submitted_component(c, answers) for c in modal["components"]],
        }
        return await self._send_interaction(MODAL_SUBMIT, data, source=reply.interaction.source)

    async def resends(self, reply: Reply) -> None:
        """Dispatch the same interaction again."""
        before = reply.interaction
        await self.server.gateway.dispatch("INTERACTION_CREATE", before.payload, self.channel.guild)

    def attach(self, filename: str, data: bytes) -> Attachment:
        return Attachment(filename, data, self.channel.id)

    async def _send_interaction(
        self, kind: int, data: JSON, *, source: Message | None = None, age: float = 0.0
    ) -> Reply:
        channel = source.channel if source else self.channel
        interaction = Interaction(kind, self.user, channel, data, source, age)
        interaction.payload = self._payload(interaction)
        world = self.server.world
        world.interactions[interaction.token] = interaction
        world.transcript.append(
            {"event": "INTERACTION_CREATE", "kind": kind, "user": self.user.name, "data": data}
        )
        await self.server.gateway.dispatch("INTERACTION_CREATE", interaction.payload, channel.guild)
        return Reply(self.server, interaction)

    def _payload(self, interaction: Interaction) -> JSON:
        channel, guild = interaction.channel, interaction.channel.guild
        facts: JSON = {"message": interaction.source.payload()} if interaction.source else {}
        if guild is None:
            facts |= {"user": self.user.payload(), "context": 1}
            owners = {"1": self.user.id}
        else:
            member = guild.member(self.user, self.roles) | {"permissions": str(self.permissions)}
            partial_guild = {"id": guild.id, "locale": "en-US", "features": []}
            facts |= {
                "guild_id": guild.id,
                "guild": partial_guild,
                "member": member,
                "guild_locale": "en-US",
                "context": 0,
            }
            owners = {"0": guild.id} if guild.has_bot else {"1": self.user.id}
        return {
            "id": interaction.id,
            "application_id": self.server.world.bot.id,
            "type": interaction.kind,
            "data": interaction.data,
            "channel": channel.payload(),
            "channel_id": channel.id,
            "token": interaction.token,
            "version": 1,
            "app_permissions": str(channel.permissions if guild is None or guild.has_bot else 0),
            "locale": self.user.locale,
            "entitlements": [],
            "authorizing_integration_owners": owners,
            "attachment_size_limit": self.upload_limit,
            **facts,
        }

    def _command_data(self, line: str, options: dict[str, Any], focused: str | None = None) -> JSON:
        name, *path = line.removeprefix("/").split()
        command = self.server.world.commands[f"1:{name}"]
        self._assert_offered(command)
        level = command
        for step in path:
            level = next(option for option in level["options"] if option["name"] == step)
        filled, resolved = self._options(level, options, focused)
        for kind, step in reversed(list(zip(_option_types(command, path), path, strict=True))):
            filled = [{"name": step, "type": kind, "options": filled}]
        data = {"id": command["id"], "name": name, "type": 1, "options": filled}
        return data | ({"resolved": resolved} if resolved else {})

    def _assert_offered(self, command: JSON) -> None:
        """Check that the client would show the command to this user here."""
        needed = int(command.get("default_member_permissions") or 0)
        if self.channel.guild is not None:
            assert self.permissions & needed == needed, f"{command['name']} is hidden from {self.user.name}"
        else:
            assert 1 in (command.get("contexts") or [0, 1, 2]), f"{command['name']} is not offered in DMs"
        assert self.channel.nsfw or not command.get("nsfw"), f"{command['name']} is age-restricted"

    def _options(self, level: JSON, options: dict[str, Any], focused: str | None) -> tuple[list[JSON], JSON]:
        known = {option["name"]: option for option in level.get("options", [])}
        assert set(options) <= set(known), f"no such option: {set(options) - set(known)}"
        if focused is None:
            missing = {n for n, o in known.items() if o.get("required")} - set(options)
            assert not missing, f"the client would not send this without {missing}"
        filled: list[JSON] = []
        resolved: JSON = {}
        channels: JSON = {}
        roles: JSON = {}
        for name, value in options.items():
            option = known[name]
            entry: JSON = {"name": name, "type": option["type"], "value": value}
            if isinstance(value, Role):
                entry["value"] = value.id
                roles[value.id] = value.payload()
            if isinstance(value, Channel):
                entry["value"] = value.id
                channels[value.id] = value.payload() | {"permissions": "0"}
            if isinstance(value, Attachment):
                entry["value"] = value.id
                self.server.world.files[value.path] = value
                resolved[value.id] = value.payload()
            if name == focused:
                entry["focused"] = True
            else:
                _assert_valid_value(option, value)
            filled.append(entry)
        kinds = {"attachments": resolved, "channels": channels, "roles": roles}
        return filled, {kind: found for kind, found in kinds.items() if found}


def person(server: DiscordServer, name: str, channel: Channel, **facts: Any) -> Person:
    user = server.world.user(
        name, locale=facts.pop("locale", "en-US"), takes_dms=facts.pop("takes_dms", True)
    )
    return Person(server, user, channel, **facts)


def owner(server: DiscordServer, channel: Channel) -> Person:
    assert channel.guild is not None
    return Person(server, channel.guild.owner, channel, permissions=ALL_PERMISSIONS)


def _option_types(command: JSON, path: list[str]) -> list[int]:
    kinds, level = [], command
    for step in path:
        level = next(option for option in level["options"] if option["name"] == step)
        kinds.append(level["type"])
    return kinds


def _assert_valid_value(option: JSON, value: Any) -> None:
    """Check what the client validates before it sends a command."""
    kind, name = option["type"], option["name"]
    if option.get("choices"):
        assert value in [choice["value"] for choice in option["choices"]], (
            f"{name}={value!r} is not among the choices"
        )
    if kind in {INTEGER, NUMBER}:
        assert option.get("min_value", value) <= value <= option.get("max_value", value), f"{name}={value}"
        assert isinstance(value, int if kind == INTEGER else int | float), f"{name}={value!r}"
    if kind == STRING:
        assert isinstance(value, str), f"{name}={value!r}"
        assert option.get("min_length", 0) <= len(value) <= option.get("max_length", 6000), (
            f"{name} is too long"
        )
    if kind == ATTACHMENT:
        assert isinstance(value, Attachment), f"{name}={value!r}"


def _find_component(message: Message, label: str, kinds: set[int]) -> JSON:
    for component in walk(message.components):
        if component["type"] in kinds and "custom_id" in component:
            shown = component.get("label") or component.get("placeholder") or ""
            if label.lower() in shown.lower():
                return component
    raise AssertionError(f"no {label!r} on {json.dumps(labels(message))}")


def _submitted_component(component: JSON, answers: dict[str, str | list[str]]) -> JSON:
    if component["type"] == 18:
        return {
            "type": 18,
            "id": component.get("id", 1),
            "component": _submitted_component(component["component"], answers),
        }
    if component["type"] == 1:
        return {
            "type": 1,
            "components": [_submitted_component(child, answers) for child in component["components"]],
        }
    if component["type"] == 10:
        return {"type": 10, "id": component.get("id", 1)}
    chosen = answers.get(component["custom_id"])
    facts = {"type": component["type"], "id": component.get("id", 1), "custom_id": component["custom_id"]}
    if component["type"] == 4:
        return {**facts, "value": component.get("value") or "" if chosen is None else chosen}
    return {**facts, "values": [chosen] if isinstance(chosen, str) else chosen or []}
