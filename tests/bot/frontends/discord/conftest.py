"""A loopback Discord, and a check after each test that no request broke the rules of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.discord_app import DiscordApp, discord_app
from tests.fakes.discord_schema import OpenApiSpec, spec_path
from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.discord_users import Person, person
from tests.fakes.discord_world import Channel


@pytest.fixture(scope="session")
def openapi() -> OpenApiSpec | None:
    path = spec_path()
    return OpenApiSpec(path) if path else None


@pytest.fixture
async def server(openapi: OpenApiSpec | None) -> AsyncIterator[DiscordServer]:
    async with discord_server() as loopback:
        yield loopback
        requests = [entry for entry in loopback.world.transcript if "request" in entry]
    assert loopback.world.violations == []
    if openapi is not None:
        assert [fault for entry in requests for fault in openapi.violations(entry)] == []


@pytest.fixture
def channel(server: DiscordServer) -> Channel:
    return server.world.guild().channel("general")


@pytest.fixture
async def matinee(server: DiscordServer, channel: Channel, tmp_path: Path) -> AsyncIterator[DiscordApp]:
    """A running Matinee, connected to a server with one channel."""
    assert channel.guild is not None
    async with discord_app(tmp_path / "data", server.connector(), server.token) as running:
        await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
        yield running


@pytest.fixture
def ana(server: DiscordServer, channel: Channel) -> Person:
    return person(server, "Ana", channel)
