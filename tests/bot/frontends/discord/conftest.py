"""A loopback Discord for every test that wants one, and the promise that nobody broke its rules."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_schema import Description, description
from tests.fakes.discord_server import DiscordServer, discord_server


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
