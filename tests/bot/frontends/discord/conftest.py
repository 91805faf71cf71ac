"""A loopback Discord for every test that wants one, and the promise that nobody broke its rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.discord_app import HouseOfDiscord, house
from tests.fakes.discord_schema import Description, description
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import Person, person
from tests.fakes.discord_world import Channel


@pytest.fixture(scope="session")
def openapi() -> Description | None:
    path = description()
    return Description(path) if path else None


@pytest.fixture
async def server(openapi: Description | None) -> AsyncIterator[DiscordServer]:
    async with discord_server() as loopback:
        yield loopback
        told = [entry for entry in loopback.world.transcript if "request" in entry]
    assert loopback.world.complaints == []
    if openapi is not None:
        assert [fault for entry in told for fault in openapi.faults(entry)] == []


@pytest.fixture
def channel(server: DiscordServer) -> Channel:
    return server.world.guild().channel("general")


@pytest.fixture
async def matinee(server: DiscordServer, channel: Channel, tmp_path: Path) -> AsyncIterator[HouseOfDiscord]:
    """A whole Matinee, online in a server with one channel."""
    assert channel.guild is not None
    async with house(tmp_path / "data", server.connector(), server.token) as running:
        await server.world.until(lambda: server.world.commands and server.gateway.live)
        yield running


@pytest.fixture
def ana(server: DiscordServer, channel: Channel) -> Person:
    return person(server, "Ana", channel)
