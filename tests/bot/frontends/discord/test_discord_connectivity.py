"""The frontend reports a lost connection to Discord and its return."""

from __future__ import annotations

from tests.bot.app_harness import wait_until
from tests.fakes.discord_app import DiscordApp
from tests.fakes.discord_server import DiscordServer


async def test_a_closed_gateway_is_not_connected_until_it_reopens(
    server: DiscordServer, matinee: DiscordApp
) -> None:
    frontend = matinee.frontend
    await wait_until(lambda: frontend.is_connected() or None)
    await server.gateway.close_all(4000)
    await wait_until(lambda: not frontend.is_connected() or None)
    await wait_until(lambda: frontend.is_connected() or None)
