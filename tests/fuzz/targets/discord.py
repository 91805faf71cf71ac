"""What Discord passes on from strangers: custom ids, options of commands, forms, completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.discord_app import DiscordApp, discord_app, discord_engine
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Person, person
from tests.fakes.discord_validation import BUTTON
from tests.fakes.discord_world import ALL_PERMISSIONS, Interaction
from tests.fuzz.target import Call, Target, from_json, to_bytes, to_json, to_text

MAX_CUSTOM_ID, MAX_OPTION = 100, 6000
"""What Discord lets a client send."""
STRING, SELECT = 3, 3
CUSTOM_IDS = (
    "m:reroll:1",
    "m:score:1:jazz",
    "s:score:1",
    "m:cancel:1",
    "m:extend:1",
    "m:bigger:1",
    "m:animate:1",
    "m:again:1",
    "m:edit:1",
    "m:recipe:1",
    "m:report:1",
    "m:delete:1",
    "m:forget:1",
    "m:appeal:1",
    "m:release:1",
    "m:reject:1",
    "m:pardon:1",
    "m:set:1:genre=lofi",
    "m:unlink:1",
    "m:link:1:ABC",
    "e:edit:1",
)
FORMS = tuple(
    to_json({"custom_id": "e:edit:1", "prompt": prompt, "negative": negative})
    for prompt, negative in (("a fox", "blur"), ("", ""), ("forbidden", "x"))
)
OPTIONS = tuple(
    to_json(line)
    for line in (
        {
            "": "video",
            "prompt": "a fox",
            "genre": "lofi",
            "seconds": 2.5,
            "seed": 7,
            "private": True,
            "tempo": "92",
        },
        {
            "": "video",
            "prompt": "a fox",
            "model": "able",
            "style": "Anime",
            "camera": "zoom-in",
            "aspect": "1:1",
        },
        {"": "image", "prompt": "a fox", "negative": "blur", "model": "able"},
        {"": "music", "clip": "#1 a fox", "genre": "jazz", "mood": "calm", "instruments": "piano, bass"},
        {"": "recipe", "clip": "1"},
        {"": "cancel", "clip": "#1"},
        {"": "report", "clip": "1", "why": "it is rude"},
        {"": "appeal", "why": "no"},
        {"": "history"},
        {"": "queue"},
        {"": "quota"},
        {"": "models"},
        {"": "help"},
        {"": "settings", "genre": "lofi", "seconds": 3.0, "link": "new", "language": "de"},
        {"": "privacy"},
        {"": "admin", "line": "review list"},
        {"": "settings", "link": "ABCDEFGH"},
    )
)


class FuzzedDiscord:
    """A running bot whose interactions are read as if the gateway had sent them."""

    def __init__(self, server: DiscordServer, app: DiscordApp, ana: Person) -> None:
        self._server = server
        self._ana = ana
        client = app.frontend.client
        self._state = client._connection
        self._channel = ana.channel

    async def send(self, kind: int, data: dict[str, Any], *, on_message: bool = False) -> None:
        source = next(iter(self._server.world.messages.values()), None)
        interaction = Interaction(
            kind, self._ana.user, self._channel, data, source if on_message else None, 0.0
        )
        interaction.payload = self._ana._payload(interaction)
        self._server.world.interactions[interaction.token] = interaction
        before = asyncio.all_tasks()
        self._state.parse_interaction_create(json.loads(json.dumps(interaction.payload)))
        started = asyncio.all_tasks() - before
        while started:
            await asyncio.wait(started)
            started = {t for t in asyncio.all_tasks() - before if "interaction" in repr(t).lower()} - started
        self._forget_traffic()

    def command_id(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._server.world.commands.get(f"1:{name}")
        return found

    def _forget_traffic(self) -> None:
        world = self._server.world
        violations = list(world.violations)
        for pile in (world.violations, world.transcript):
            pile.clear()
        for token in list(world.interactions)[:-50]:
            del world.interactions[token]
        assert not violations, f"a request that Discord refuses: {violations[0][:300]}"


def _opener(feed: Callable[[FuzzedDiscord, bytes], Awaitable[None]]) -> Callable[[Path], Any]:
    @asynccontextmanager
    async def open_(folder: Path) -> AsyncIterator[Call]:
        async with discord_server(ack_deadline=60.0) as server:
            server.limits.clear()
            channel = server.world.guild().channel("general")
            ana = person(server, "Ana", channel, permissions=ALL_PERMISSIONS)
            engine = discord_engine(manual=True)
            async with discord_app(
                folder, server.connector(), server.token, engine=engine, credits_=10**9
            ) as app:
                await server.world.wait_until(
                    lambda: server.world.commands and server.gateway.connected_sessions
                )
                reply = await ana.types("/video", prompt="a fox")
                await reply.message()
                fuzzed = FuzzedDiscord(server, app, ana)
                yield lambda data: feed(fuzzed, data)

    return open_


async def _feed_custom_id(fuzzed: FuzzedDiscord, data: bytes) -> None:
    text = sendable(to_text(data))[:MAX_CUSTOM_ID]
    if text.startswith("s:"):
        content = {"custom_id": text, "component_type": SELECT, "values": [text[-20:]]}
    else:
        content = {"custom_id": text, "component_type": BUTTON}
    await fuzzed.send(COMPONENT, content, on_message=True)


async def _feed_form(fuzzed: FuzzedDiscord, data: bytes) -> None:
    value = from_json(data)
    if not (isinstance(value, dict) and all(isinstance(text, str) for text in value.values())):
        return
    fields = [
        {
            "type": 18,
            "id": n,
            "component": {"type": 4, "id": n + 50, "custom_id": name, "value": sendable(text)[:4000]},
        }
        for n, (name, text) in enumerate(value.items())
        if name != "custom_id"
    ]
    custom_id = sendable(value.get("custom_id", ""))[:MAX_CUSTOM_ID]
    await fuzzed.send(MODAL_SUBMIT, {"custom_id": custom_id, "components": fields}, on_message=True)


async def _feed_options(fuzzed: FuzzedDiscord, data: bytes, *, kind: int = COMMAND) -> None:
    """Values as Discord lets them through: of the right type, within the limits, of any text."""
    value = from_json(data)
    command = fuzzed.command_id(str(value.pop("", ""))) if isinstance(value, dict) else None
    if command is None:
        return
    known = {option["name"]: option for option in command.get("options", [])}
    filled = [
        {"name": name, "type": known[name]["type"], "value": given}
        for name, one in value.items()
        if name in known and (given := _allowed(known[name], one)) is not None
    ]
    if {n for n, o in known.items() if o.get("required")} - {entry["name"] for entry in filled}:
        return
    if kind == AUTOCOMPLETE:
        focused = [entry for entry in filled if known[entry["name"]].get("autocomplete")]
        if not focused:
            return
        focused[-1]["focused"] = True
    content = {"id": command["id"], "name": command["name"], "type": 1, "options": filled}
    await fuzzed.send(kind, content)


async def _feed_completion(fuzzed: FuzzedDiscord, data: bytes) -> None:
    await _feed_options(fuzzed, data, kind=AUTOCOMPLETE)


def _allowed(option: dict[str, Any], value: Any) -> Any:
    """The value if Discord would send it for this option."""
    if option.get("choices") and value not in [choice["value"] for choice in option["choices"]]:
        return None
    if option["type"] == STRING and isinstance(value, str):
        text = sendable(value)[: option.get("max_length", MAX_OPTION)]
        return text if len(text) >= option.get("min_length", 0) else None
    if option["type"] in {4, 10} and isinstance(value, int | float) and not isinstance(value, bool):
        if option["type"] == 4 and not isinstance(value, int):
            return None
        in_range = option.get("min_value", -(2**53)) <= value <= option.get("max_value", 2**53)
        return value if in_range else None
    return value if option["type"] == 5 and isinstance(value, bool) else None


def sendable(text: str) -> str:
    """Discord passes on no lone surrogates and no null characters."""
    return text.encode("utf-8", "ignore").decode().replace("\0", "")


TARGETS = (
    Target(
        name="Discord: custom id",
        shape="text",
        seeds=lambda: [to_bytes(text) for text in CUSTOM_IDS],
        open=_opener(_feed_custom_id),
        covers=(
            "bot.frontends.discord.buttons:ActionButton",
            "bot.frontends.discord.buttons:ActionSelect",
            "bot.frontends.discord.modals:modal_action",
        ),
        share=3,
    ),
    Target(
        name="Discord: form",
        shape="json",
        seeds=lambda: FORMS,
        open=_opener(_feed_form),
        covers=("bot.frontends.discord.modals:modal_values",),
    ),
    Target(
        name="Discord: options of a command",
        shape="json",
        seeds=lambda: OPTIONS,
        open=_opener(_feed_options),
        covers=("bot.frontends.discord.handlers:parse_job_number",),
        share=3,
    ),
    Target(
        name="Discord: completion of an option",
        shape="json",
        seeds=lambda: OPTIONS,
        open=_opener(_feed_completion),
        covers=("bot.frontends.discord.autocomplete:Autocompleter",),
    ),
)
