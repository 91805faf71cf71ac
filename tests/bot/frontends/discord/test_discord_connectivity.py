"""Whether Discord is within reach is known while it is, when it goes, and when it is back."""

from __future__ import annotations

from tests.bot.app_harness import until
from tests.fakes.discord_app import HouseOfDiscord
from tests.fakes.discord_server import DiscordServer


async def test_a_gateway_that_closes_is_out_of_reach_until_it_is_open_again(
    server: DiscordServer, matinee: HouseOfDiscord
) -> None:
    frontend = matinee.frontend
    await until(lambda: frontend.reached() or None)
    await server.gateway.close_all(4000)
    await until(lambda: not frontend.reached() or None)
    await until(lambda: frontend.reached() or None)
