"""Inline mode offers only the user's own clips and pictures, newest first, in pages."""

from __future__ import annotations

from tests.fakes.telegram_app import TelegramApp
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser


async def test_clips_and_pictures_are_found_by_prompt(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    for number, text in enumerate(("/video a red fox", "/image a red house", "/video a wolf"), 1):
        await ada.writes(text)
        await app.telegram.until_delivered(number)
    kinds = [(found["type"], found["title"]) for found in await ada.searches_inline("red")]
    assert kinds == [("photo", "a red house"), ("video", "a red fox")]
    assert await TelegramUser(server, "Eve").searches_inline("red") == []


async def test_user_without_clips_is_offered_to_make_one(
    ada: TelegramUser, app: TelegramApp, server: TelegramServer
) -> None:
    assert await ada.searches_inline() == []
    (answer,) = server.calls_of("answerInlineQuery")
    assert answer.parameters["button"] == {"text": "Make a clip first", "start_parameter": "share"}
    await ada.writes("/start share")
    await ada.hears("Hello Ada")
    assert app.telegram.ready.is_set()


async def test_results_are_paginated(server: TelegramServer, ada: TelegramUser, app: TelegramApp) -> None:
    server.world.private_flood_limit = (1000, 1.0)
    for number in range(1, 24):
        await ada.writes(f"/video fox {number}")
    for number in range(1, 24):
        await app.telegram.until_delivered(number)
    assert [found["id"] for found in await ada.searches_inline()] == [str(n) for n in range(23, 3, -1)]
    (answer,) = server.calls_of("answerInlineQuery")
    assert answer.parameters["next_offset"] == "20"
    assert [found["id"] for found in await ada.searches_inline(offset="20")] == ["3", "2", "1"]
