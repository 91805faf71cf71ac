"""Every user is answered in their own language, also in a shared channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.frontends.discord.settings import FrontendSettings
from bot.i18n import messages
from tests.fakes.discord_app import DiscordApp, discord_app, wait_for_clip_message
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, labels, person, text_of
from tests.fakes.discord_world import Channel

MANAGE_GUILD = 1 << 5


async def test_a_german_client_reads_german_from_the_queue_to_the_clip(
    server: DiscordServer, matinee: DiscordApp, channel: Channel
) -> None:
    greta = person(server, "Greta", channel, locale="de")
    matinee.engine.unblocked.clear()
    await (await greta.types("/video", prompt="ein Fuchs")).says("Clip #1: Bilder erzeugen 25 %")
    waiting = await (await greta.types("/video", prompt="ein Bär")).says("Clip #2 ist als Nächster dran.")
    assert labels(waiting) == ["Abbrechen"]
    await greta.clicks(waiting, "Abbrechen")
    await server.world.wait_until(
        lambda: "ist abgebrochen. Deine Credits sind wieder da." in text_of(waiting)
    )
    matinee.engine.unblocked.set()
    clip = await wait_for_clip_message(server, 1)
    assert {"Neue Musik", "Noch einmal", "Prompt ändern", "Rezept", "Löschen", "Melden"} <= set(labels(clip))


async def test_button_answers_are_in_the_language_of_the_user(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    await ana.types("/video", prompt="a fox")
    clip = await wait_for_clip_message(server, 1)
    for locale, title in (
        ("fr", "Recette du clip #1"),
        ("ja", "クリップ #1 のレシピ"),
        ("pt-BR", "Receita do clipe #1"),
    ):
        user = person(server, locale, channel, locale=locale)
        await (await user.clicks(clip, "Recipe")).says(title)
    await (await person(server, "Luz", channel, locale="es-419").clicks(clip, "Delete")).says(
        "es de otra persona"
    )
    assert matinee.engine.rendered == ["1.1"]


async def test_language_precedence_is_own_then_server_then_client(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    boss = person(server, "Boss", channel, permissions=MANAGE_GUILD)
    await (await ana.types("/quota")).says("You have")
    await (await boss.types("/server defaults", language="fr")).says("Langue : Français")
    await (await ana.types("/quota")).says("Il vous reste")
    await (await ana.types("/settings", language="ja")).says("言語: 日本語")
    await (await ana.types("/quota")).says("残りは")
    assert matinee.frontend.name == "discord"


async def test_an_unsupported_language_falls_back_to_the_operators(
    server: DiscordServer, tmp_path: Path
) -> None:
    channel = server.world.guild().channel("general")
    settings = FrontendSettings(language="es")
    async with discord_app(tmp_path / "data", server.connector(), server.token, settings=settings):
        await server.world.wait_until(lambda: server.world.commands and server.gateway.connected_sessions)
        await (await person(server, "Kim", channel, locale="ko").types("/queue")).says("La cola está vacía.")
        shown = await server.world.wait_until(lambda: server.world.presence)
        assert shown["activities"][0]["state"] == "listo para un texto"


async def test_a_refusal_is_in_the_language_of_the_user(
    server: DiscordServer, matinee: DiscordApp, channel: Channel
) -> None:
    greta = person(server, "Greta", channel, locale="de")
    refused = await (await greta.types("/video", prompt="something forbidden")).says(
        "Das kann ich nicht machen"
    )
    assert refused.ephemeral
    await (await greta.types("/settings", genre="jaz")).says("Meintest du “jazz”?")
    assert await matinee.store.waiting(1) == []


async def test_languages_are_offered_under_their_own_names(
    server: DiscordServer, matinee: DiscordApp
) -> None:
    language = next(o for o in server.world.commands["1:settings"]["options"] if o["name"] == "language")
    offered = {choice["value"]: choice["name"] for choice in language["choices"]}
    assert offered == {code: messages.language_name(code) for code in messages.languages()}
    assert offered["ja"] == "日本語"
    assert matinee.frontend.name == "discord"


@pytest.mark.parametrize("language", messages.languages())
def test_card_texts_fit_the_limits_of_discord(language: str) -> None:
    buttons = ("reroll", "score", "again", "cancel", "edit", "animate", "extend", "bigger")
    assert all(len(messages.translate(f"button.{name}", language)) <= 25 for name in buttons)
    assert len(messages.translate("form.edit", language, job=10**9)) <= 45
    assert all(len(messages.translate(f"form.{name}", language)) <= 45 for name in ("prompt", "negative"))
    assert len(messages.translate("help.discord", language)) <= 1800
