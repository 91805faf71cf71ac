"""Discord holds the conversation that every chat holds."""

from __future__ import annotations

from bot.i18n import messages
from tests.bot.frontends.shared_conversation import begun, converse
from tests.fakes.discord_app import HouseOfDiscord, clip_of
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, Reply, text_of
from tests.fakes.discord_world import Message

NUMBERS = {"seed": int, "seconds": float}


class Guest:
    def __init__(self, person: Person, house: HouseOfDiscord, server: DiscordServer) -> None:
        self._person = person
        self._house = house
        self._server = server
        self._reply: Reply | None = None
        self._clip: Message | None = None

    async def asks_for_a_clip(self, prompt: str, **options: str) -> None:
        read = {name: NUMBERS.get(name, str)(value) for name, value in options.items()}
        self._clip = None
        self._reply = await self._person.types("/video", prompt=prompt, **read)

    async def says(self, command: str) -> None:
        self._reply = await self._person.types(f"/{command}")

    async def hears(self, words: str) -> str:
        assert self._reply is not None
        return text_of(await self._reply.says(words))

    async def sees_clip(self, number: int) -> str:
        self._clip = await clip_of(self._server, number)
        return text_of(self._clip)

    async def presses(self, label: str) -> None:
        assert self._reply is not None
        message = self._clip or await self._reply.message()
        self._reply = await self._person.clicks(message, label)

    async def rescores(self, genre: str) -> None:
        assert self._clip is not None
        self._reply = await self._person.picks(self._clip, messages.words("button.score"), genre)

    def hold(self, *, engine: bool) -> None:
        if engine:
            self._house.engine.gate.clear()
        else:
            self._house.engine.gate.set()

    async def waits_for_the_engine(self, number: int) -> None:
        await begun(self._house.studio, number)


async def test_conversation_reads_as_on_every_chat(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person
) -> None:
    await converse(Guest(ana, matinee, server))
