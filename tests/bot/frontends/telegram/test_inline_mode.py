"""Inline mode: my own clips and pictures, newest first, a page at a time, and nobody else's."""

from __future__ import annotations

from tests.fakes.telegram_app import Cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone


async def test_clips_and_pictures_are_found_by_their_words(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    for number, text in enumerate(("/video a red fox", "/image a red house", "/video a wolf"), 1):
        await ada.writes(text)
        await house.telegram.until_delivered(number)
    kinds = [(found["type"], found["title"]) for found in await ada.looks_up("red")]
    assert kinds == [("photo", "a red house"), ("video", "a red fox")]
    assert await Someone(server, "Eve").looks_up("red") == []


async def test_who_has_none_is_shown_the_way(ada: Someone, house: Cinema, server: TelegramServer) -> None:
    assert await ada.looks_up() == []
    (answer,) = server.called("answerInlineQuery")
    assert answer.parameters["button"] == {"text": "Make a clip first", "start_parameter": "share"}
    await ada.writes("/start share")
    await ada.hears("Hello Ada")
    assert house.telegram.ready.is_set()


async def test_many_come_in_pages(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    server.world.patience = (1000, 1.0)
    for number in range(1, 24):
        await ada.writes(f"/video fox {number}")
    for number in range(1, 24):
        await house.telegram.until_delivered(number)
    assert [found["id"] for found in await ada.looks_up()] == [str(n) for n in range(23, 3, -1)]
    (answer,) = server.called("answerInlineQuery")
    assert answer.parameters["next_offset"] == "20"
    assert [found["id"] for found in await ada.looks_up(offset="20")] == ["3", "2", "1"]
