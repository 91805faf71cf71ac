"""The conversation that every chat is tested with, on Discord."""

from __future__ import annotations

from bot.i18n import messages
from tests.bot.frontends.shared_conversation import run_conversation, wait_until_running
from tests.fakes.discord_app import DiscordApp, wait_for_clip_message
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, Reply, text_of
from tests.fakes.discord_world import Message

NUMBERS = {"seed": int, "seconds": float}


class DiscordUser:
    def __init__(self, person: Person, app: DiscordApp, server: DiscordServer) -> None:
        self._person = person
        self._app = app
        self._server = server
        self._reply: Reply | None = None
        self._clip: Message | None = None

    async def request_clip(self, prompt: str, **options: str) -> None:
        typed = {name: NUMBERS.get(name, str)(value) for name, value in options.items()}
        self._clip = None
        self._reply = await self._person.types("/video", prompt=prompt, **typed)

    async def send_command(self, command: str) -> None:
        self._reply = await self._person.types(f"/{command}")

    async def wait_for_text(self, text: str) -> str:
        assert self._reply is not None
        return text_of(await self._reply.says(text))

    async def wait_for_clip(self, number: int) -> str:
        self._clip = await wait_for_clip_message(self._server, number)
        return text_of(self._clip)

    async def press_button(self, label: str) -> None:
        assert self._reply is not None
        message = self._clip or await self._reply.message()
        self._reply = await self._person.clicks(message, label)

    async def request_new_music(self, genre: str) -> None:
        assert self._clip is not None
        self._reply = await self._person.picks(self._clip, messages.translate("button.score"), genre)

    def set_engine_paused(self, *, paused: bool) -> None:
        if paused:
            self._app.engine.unblocked.clear()
        else:
            self._app.engine.unblocked.set()

    async def wait_until_rendering(self, number: int) -> None:
        await wait_until_running(self._app.store, number)


async def test_the_shared_conversation_works_on_discord(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await run_conversation(DiscordUser(ana, matinee, server))
