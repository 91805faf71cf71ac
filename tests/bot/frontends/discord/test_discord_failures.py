"""Whatever Discord does meanwhile, the clip comes once, or its credits do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.jobs import State
from bot.frontends.discord.frontend import DiscordFrontend
from bot.frontends.discord.settings import Manner
from tests.fakes.discord_app import HouseOfDiscord, clip_of, house, settled, with_clip
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, labels, person, text_of
from tests.fakes.discord_validation import BUTTON
from tests.fakes.discord_world import COMPONENTS_V2, Channel, Guild

LONG_AGO = 15 * 60.0


@pytest.mark.parametrize("forgotten", [[], ["the session"]], ids=["op 7", "op 9"])
async def test_a_gateway_that_drops_in_the_middle_costs_nobody_a_clip(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, forgotten: list[str]
) -> None:
    matinee.engine.gate.clear()
    await (await ana.types("/video", prompt="before")).says("Painting")
    await server.world.until(lambda: server.world.presence)
    server.gateway.forgets_sessions = bool(forgotten)
    server.world.presence = None
    if forgotten:
        await server.gateway.close_all(4000)
        await server.world.until(lambda: server.gateway.identifies == 2 and server.gateway.live)
        assert "queue" in str(server.world.presence) or "free" in str(server.world.presence)
    else:
        await server.gateway.send_all(7)
        await server.world.until(lambda: server.gateway.resumes)
    await ana.types("/video", prompt="after")
    matinee.engine.gate.set()
    assert "before" in text_of(await clip_of(server, 1))
    assert "after" in text_of(await clip_of(server, 2))
    assert matinee.engine.rendered == ["1.1", "2.1"]


@pytest.mark.parametrize("code", [1000, 4000, 4008, 4009])
async def test_after_any_close_that_may_come_back_it_comes_back(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, code: int
) -> None:
    before = server.gateway.identifies + server.gateway.resumes
    await server.gateway.close_all(code)
    gateway = server.gateway
    await server.world.until(lambda: gateway.identifies + gateway.resumes > before and gateway.live)
    await (await ana.types("/queue")).says("Nobody is waiting")
    assert matinee.frontend.name == "discord"


async def test_a_token_that_discord_refuses_ends_the_chat_and_nothing_else(
    server: DiscordServer, channel: Channel, tmp_path: Path
) -> None:
    assert channel.guild is not None
    async with house(tmp_path / "data", server.connector(), server.token) as running:
        other = DiscordFrontend(running.studio, "MTA0.wrong.token", connector=server.connector())
        await other.run()
        await server.world.until(lambda: server.gateway.live)
    assert server.statuses[401] == 1


def guild_on(server: DiscordServer, shard: int) -> Guild:
    """A server that belongs to this one of two shards."""
    while True:
        guild = server.world.guild(f"On shard {shard}")
        if (int(guild.id) >> 22) % 2 == shard:
            return guild
        del server.world.guilds[guild.id]


async def test_a_sharded_bot_serves_the_servers_of_every_shard(server: DiscordServer, tmp_path: Path) -> None:
    channels = [guild_on(server, shard).channel("general") for shard in (0, 1)]
    manner = Manner(sharded=True)
    async with house(tmp_path / "data", server.connector(), server.token, manner=manner) as running:
        await server.world.until(lambda: server.world.commands and len(server.gateway.live) == 2)
        for number, channel in enumerate(channels, start=1):
            ana = person(server, "Ana", channel)
            await ana.types("/video", prompt="on its own shard")
            clip = await clip_of(server, number)
            assert clip.channel is channel
            await (await ana.clicks(clip, "Recipe")).says("on its own shard")
        await server.world.until(lambda: server.world.presence)
        assert running.frontend.reached()
    assert {session.shard for session in server.gateway.sessions} == {(0, 2), (1, 2)}


@pytest.mark.parametrize("age", [0.0, LONG_AGO], ids=["by its token", "through the channel"])
async def test_where_cards_are_refused_plain_messages_do_all_the_same(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, age: float
) -> None:
    refused = server.fail("", "", status=400, code=50035, times=10**6, cards=True)
    refused.method = "PATCH" if age == 0.0 else "POST"
    await ana.types("/video", prompt="a fox in plain words", age=age)
    clip = await clip_of(server, 1)
    assert refused.hit
    assert not clip.flags & COMPONENTS_V2
    assert "a fox in plain words" in clip.content
    assert {"Re-roll", "Edit prompt", "Recipe", "Delete", "Report"} <= set(labels(clip))
    refused.times = 0
    await ana.clicks(clip, "Re-roll")
    assert "a fox in plain words" in text_of(await clip_of(server, 2))
    assert await settled(server, matinee, 1) is State.DELIVERED


@pytest.mark.parametrize(("refusals", "state"), [(2, State.DELIVERED), (3, State.FAILED)])
async def test_a_clip_is_made_smaller_twice_and_then_given_up(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, refusals: int, state: State
) -> None:
    server.fail("PATCH", "/webhooks/", status=413, code=40005, uploads=True, times=refusals)
    matinee.engine.size = 40_000
    reply = await ana.types("/video", prompt="large")
    assert await settled(server, matinee, 1) is state
    if state is State.FAILED:
        await reply.says("No clip worth watching fits", "Your credits are back")
        balance = await matinee.studio.balance((await matinee.studio.job(1)).requester)
        assert balance.left == balance.limit
    else:
        assert len((await clip_of(server, 1)).attachments[0].data) == 25_600


async def test_a_channel_that_is_gone_sends_the_clip_directly(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, channel: Channel
) -> None:
    matinee.engine.gate.clear()
    await ana.types("/video", prompt="homeless", age=LONG_AGO)
    await server.world.until(lambda: server.world.interactions)
    channel.gone = True
    matinee.engine.gate.set()
    assert (await clip_of(server, 1)).channel.recipient is ana.user
    assert await settled(server, matinee, 1) is State.DELIVERED


@pytest.mark.parametrize(
    "trouble", [{"retry_after": 0.05}, {"status": 502}, {"status": 502, "commit": True}], ids=str
)
async def test_a_slow_or_stumbling_discord_gets_the_clip_once(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, trouble: dict[str, float]
) -> None:
    hurdle = server.fail("PATCH", "/webhooks/", uploads=True, **trouble)
    await ana.types("/video", prompt="in the rain")
    assert await settled(server, matinee, 1) is State.DELIVERED
    assert hurdle.hit == 1
    assert len(with_clip(server, 1)) == 1


async def test_a_token_that_dies_early_leads_to_the_channel(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person
) -> None:
    server.fail("PATCH", "/webhooks/", status=401, code=50027, times=100)
    reply = await ana.types("/video", prompt="too soon")
    clip = await clip_of(server, 1)
    assert reply.interaction.original is not None
    assert clip.reference == reply.interaction.original.id
    assert await settled(server, matinee, 1) is State.DELIVERED


async def test_where_replies_are_not_allowed_the_clip_comes_without_one(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, channel: Channel
) -> None:
    server.fail("POST", "/messages$", status=403, code=160002)
    await ana.types("/video", prompt="no looking back", age=LONG_AGO)
    clip = await clip_of(server, 1)
    assert (clip.channel, clip.reference) == (channel, None)
    assert await settled(server, matinee, 1) is State.DELIVERED


async def test_a_private_clip_whose_token_is_dead_comes_directly_and_once(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person
) -> None:
    lost = server.fail("POST", "/messages$", drop=True, commit=True)
    await ana.types("/video", prompt="for my eyes", private=True, age=LONG_AGO)
    await server.world.until(lambda: lost.hit)
    server.rest.forget_nonces()
    assert await settled(server, matinee, 1) is State.DELIVERED
    assert [clip.channel.recipient for clip in with_clip(server, 1)] == [ana.user]


async def press(one: Person, source: str, custom_id: str) -> Person:
    """As a client would that still shows some button of long ago."""
    message = one.server.world.messages[source]
    message.components = [
        {"type": 1, "components": [{"type": BUTTON, "style": 2, "label": "?", "custom_id": custom_id}]}
    ]
    await one.clicks(message, "?")
    return one


@pytest.mark.parametrize(
    ("custom_id", "told"),
    [
        ("m:reroll:999", "There is no clip #999"),
        ("m:edit:999", "There is no clip #999"),
        ("m:dance:1", "There is no button called"),
    ],
)
async def test_a_button_that_means_nothing_any_more_says_so(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person, custom_id: str, told: str
) -> None:
    await ana.types("/video", prompt="a fox")
    clip = await clip_of(server, 1)
    await press(ana, clip.id, custom_id)
    answers = lambda: [m for m in server.world.messages.values() if told in text_of(m)]  # noqa: E731  (looked at often)
    answer = (await server.world.until(answers))[0]
    assert answer.ephemeral
    assert matinee.engine.rendered == ["1.1"]


async def test_new_music_for_a_clip_whose_file_is_gone_says_how_to_get_it_back(
    server: DiscordServer, matinee: HouseOfDiscord, ana: Person
) -> None:
    await ana.types("/video", prompt="once upon a time")
    message = await clip_of(server, 1)
    await settled(server, matinee, 1)
    clip = (await matinee.studio.job(1)).clip
    assert clip is not None
    clip.path.unlink()
    await (await ana.picks(message, "New music", "jazz")).says("has been cleaned away", "recipe")
