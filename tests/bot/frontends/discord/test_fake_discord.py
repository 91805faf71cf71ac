"""The loopback Discord behaves like the real one, as seen by the unpatched discord.py client."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands

from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import person, text_of
from tests.fakes.discord_world import THREAD, Channel


class EchoBot(discord.Client):
    """A minimal bot that answers /echo."""

    def __init__(self, server: DiscordServer) -> None:
        intents = discord.Intents.none()
        intents.guilds = True
        super().__init__(intents=intents, connector=server.connector(), guild_ready_timeout=0.05)
        self.tree = app_commands.CommandTree(self)
        self.interactions: list[discord.Interaction] = []

        @self.tree.command(description="Say it again")
        @app_commands.describe(words="What to say")
        async def echo(interaction: discord.Interaction, words: app_commands.Range[str, 1, 2000]) -> None:
            self.interactions.append(interaction)
            await interaction.response.defer(ephemeral=words == "secret")
            await interaction.edit_original_response(content=words)

        @echo.autocomplete("words")
        async def offer(_: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=current.upper(), value=current)]

    async def setup_hook(self) -> None:
        await self.tree.sync()


@asynccontextmanager
async def online(client: discord.Client, server: DiscordServer) -> AsyncIterator[None]:
    async with client:
        task = asyncio.create_task(client.start(server.token))
        await server.world.wait_until(lambda: server.gateway.connected_sessions)
        await client.wait_until_ready()
        yield
        await client.close()
        await task


@pytest.fixture
def channel(server: DiscordServer) -> Channel:
    return server.world.guild().channel("general")


@pytest.fixture
async def bot(server: DiscordServer, channel: Channel) -> AsyncIterator[EchoBot]:
    assert channel.guild is not None
    client = EchoBot(server)
    async with online(client, server):
        yield client


async def send(bot: EchoBot, channel: Channel, *args: Any, **kwargs: Any) -> discord.Message:
    return await bot.get_partial_messageable(int(channel.id)).send(*args, **kwargs)


async def test_a_deferred_command_is_edited_into_its_answer(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    ana = person(server, "Ana", channel)
    reply = await ana.types("/echo", words="hello")
    message = await reply.says("hello")
    assert reply.interaction.ack_type == 5
    assert message.author is server.world.bot
    assert bot.interactions[0].filesize_limit == ana.upload_limit


async def test_a_private_message_is_visible_to_one_user(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    reply = await person(server, "Ana", channel).types("/echo", words="secret")
    message = await reply.says("secret")
    assert message.ephemeral
    with pytest.raises(discord.NotFound):
        await bot.http.get_message(int(channel.id), int(message.id))


async def test_autocomplete_offers_choices(server: DiscordServer, bot: EchoBot, channel: Channel) -> None:
    assert bot.is_ready()
    offered = await person(server, "Ana", channel).completes("/echo", focused="words", words="fo")
    assert offered == [{"name": "FO", "value": "fo"}]


async def test_an_interaction_can_be_acknowledged_once(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    ana = person(server, "Ana", channel)
    reply = await ana.types("/echo", words="once")
    await reply.says("once")
    await ana.resends(reply)
    await server.world.wait_until(lambda: server.statuses[400])
    assert len(bot.interactions) == 2
    assert text_of(await reply.message()) == "once"


async def test_a_repeated_nonce_shows_one_message(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    first = await send(bot, channel, "clip", nonce="job-17")
    second = await send(bot, channel, "clip", nonce="job-17")
    assert first.id == second.id
    assert len(server.world.visible(channel)) == 1


async def test_a_send_whose_response_was_lost_is_not_repeated(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    server.add_fault("POST", "/messages$", status=503, commit=True)
    with pytest.raises(discord.HTTPException):
        await send(bot, channel, "clip", nonce="job-17")
    await send(bot, channel, "clip", nonce="job-17")
    assert len(server.world.visible(channel)) == 1


async def test_a_connection_can_close_without_a_response(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    server.add_fault("POST", "/messages$", drop=True, commit=True)
    with pytest.raises(aiohttp.ClientError):
        await send(bot, channel, "clip")
    assert len(server.world.visible(channel)) == 1


async def test_the_client_waits_for_the_end_of_a_rate_limit(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    fault = server.add_fault("POST", "/messages$", retry_after=0.05)
    await send(bot, channel, "after a while")
    assert fault.hits == 1
    assert server.statuses[429] == 1


async def test_an_upload_is_stored_unchanged_and_can_be_downloaded(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    data = bytes(range(256)) * 64
    message = await send(bot, channel, file=discord_file(data))
    stored = server.world.messages[str(message.id)].attachments[0]
    assert stored.data == data
    assert await message.attachments[0].read() == data


def discord_file(data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), "clip.mp4")


async def test_an_upload_above_the_limit_is_refused_with_40005(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    assert channel.guild is not None
    channel.guild.upload_limit = 1000
    with pytest.raises(discord.HTTPException) as refusal:
        await send(bot, channel, file=discord_file(bytes(1001)))
    assert (refusal.value.status, refusal.value.code) == (413, 40005)
    assert server.world.visible(channel) == []


@pytest.mark.parametrize("code", [50001, 50013])
async def test_a_channel_can_refuse_messages(
    server: DiscordServer, bot: EchoBot, channel: Channel, code: int
) -> None:
    channel.refusal_code = code
    with pytest.raises(discord.Forbidden) as refusal:
        await send(bot, channel, "hello")
    assert refusal.value.code == code
    assert server.world.violations == []


async def test_an_expired_token_differs_from_an_unknown_one(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    reply = await person(server, "Ana", channel).types("/echo", words="hi")
    await reply.says("hi")
    reply.interaction.token_expired = True
    with pytest.raises(discord.HTTPException) as refusal:
        await bot.interactions[0].edit_original_response(content="late")
    assert refusal.value.code == 50027


async def test_a_late_acknowledgement_is_an_unknown_interaction(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    ana = person(server, "Ana", channel)
    fault = server.add_fault("POST", "/callback$", status=404, code=10062)
    reply = await ana.types("/echo", words="late")
    await server.world.wait_until(lambda: fault.hits)
    assert reply.interaction.ack_type is None
    assert bot.is_ready()


async def test_a_dropped_gateway_resumes_and_loses_nothing(
    server: DiscordServer, bot: EchoBot, channel: Channel
) -> None:
    ana = person(server, "Ana", channel)
    await server.gateway.send_all(7)
    await server.world.wait_until(lambda: server.gateway.resumes)
    reply = await ana.types("/echo", words="still here")
    await reply.says("still here")
    assert server.gateway.identifies == 1
    assert server.gateway.resume_hosts == ["gateway-us-east1-b.discord.gg"]
    assert bot.is_ready()


async def test_a_rejected_resume_identifies_again(
    server: DiscordServer, bot: EchoBot, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    server.gateway.rejects_resume = True
    await server.gateway.close_all(4000)
    await server.world.wait_until(
        lambda: server.gateway.identifies == 2 and server.gateway.connected_sessions
    )
    reply = await person(server, "Ana", channel).types("/echo", words="again")
    await reply.says("again")
    assert bot.is_ready()
    assert caplog.records == [] or "Traceback" not in caplog.text


async def test_a_thread_is_a_channel(server: DiscordServer, bot: EchoBot, channel: Channel) -> None:
    assert channel.guild is not None
    thread = channel.guild.channel("a thread", THREAD, parent=channel)
    reply = await person(server, "Ana", thread).types("/echo", words="in here")
    message = await reply.says("in here")
    assert message.channel is thread
    assert isinstance(bot.interactions[0].channel, discord.Thread)


async def test_other_host_names_do_not_resolve(server: DiscordServer) -> None:
    async with aiohttp.ClientSession(connector=server.connector()) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("https://example.org")
