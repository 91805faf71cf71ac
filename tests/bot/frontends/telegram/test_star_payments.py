"""Stars that were paid can go back, once, and never more credits than are left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.frontends.telegram.frontend import Options
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone


@pytest.fixture
def boss(server: TelegramServer) -> Someone:
    return Someone(server, "Boss")


@pytest.fixture
async def shop(server: TelegramServer, boss: Someone, tmp_path: Path) -> AsyncIterator[Cinema]:
    options = Options(token=server.token, api=server.url, stars=2, admins=frozenset({boss.id}))
    async with cinema(tmp_path, options, credits_=0) as shop:
        yield shop


async def buys(ada: Someone, pack: int) -> str:
    await ada.writes("/buy")
    await ada.answer_to(await ada.presses(await ada.hears("How many credits"), f"{pack} credits"))
    charge = await ada.pays(await ada.receives("invoice"))
    await ada.hears(f"{pack} credits are yours")
    return charge


@pytest.mark.usefixtures("shop")
async def test_untouched_pack_goes_back_to_its_buyer_once(server: TelegramServer, ada: Someone) -> None:
    charge = await buys(ada, 50)
    await ada.writes("/paysupport")
    offer = await ada.hears("A pack of which nothing is spent")
    data = offer.button("stars back")["callback_data"]
    await ada.answer_to(await ada.sends_back(offer, data))
    await ada.hears("on their way back")
    assert server.world.refunded == {charge}
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")
    eve = Someone(server, "Eve")
    assert "no such payment" in (await eve.answer_to(await eve.sends_back(offer, data)))["text"]


async def test_pack_that_was_begun_is_offered_no_more(ada: Someone, shop: Cinema) -> None:
    await buys(ada, 10)
    await ada.writes("/video a fox")
    await shop.telegram.until_delivered(1)
    await ada.writes("/paysupport")
    support = await ada.hears("A pack of which nothing is spent")
    assert support.buttons == []


async def test_clip_that_failed_gives_credits_back_and_offers_the_stars(
    server: TelegramServer, ada: Someone, shop: Cinema
) -> None:
    charge = await buys(ada, 10)
    shop.engine.broken = True
    await ada.writes("/video a fox")
    failed = await ada.hears("credits are back")
    await ada.answer_to(await ada.presses(failed, "stars back for 10"))
    await ada.hears("on their way back")
    assert server.world.refunded == {charge}


async def test_operator_gives_any_payment_back_and_takes_what_is_left(
    server: TelegramServer, ada: Someone, boss: Someone, shop: Cinema
) -> None:
    charge = await buys(ada, 10)
    await ada.writes("/video a fox 4s")
    await shop.telegram.until_delivered(1)
    await ada.writes(f"/refund {charge}")
    await ada.hears("Only an admin")
    await boss.writes("/refund nonsense")
    await boss.hears("no such payment")
    await boss.writes(f"/refund {charge}")
    await boss.hears("Stars for 10 credits")
    assert server.world.refunded == {charge}
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")
    await boss.writes(f"/refund {charge}")
    await server.until(lambda: len([m for m in boss.heard() if "no such payment" in m.text]) == 2)


@pytest.mark.usefixtures("shop")
async def test_what_telegram_gave_back_is_booked_once(server: TelegramServer, ada: Someone) -> None:
    charge = await buys(ada, 50)
    told = {
        "currency": "XTR",
        "total_amount": 100,
        "invoice_payload": "credits:50",
        "telegram_payment_charge_id": charge,
        "provider_payment_charge_id": "",
    }
    for _ in range(2):
        polls = server.polls
        await ada.writes("", extra={"refunded_payment": told})
        await server.until(lambda before=polls: server.polls > before)  # type: ignore[misc]  # handled by then
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")


@pytest.mark.usefixtures("shop")
async def test_old_invoice_at_another_price_is_not_taken(server: TelegramServer, ada: Someone) -> None:
    query = "4711"
    server.world.queries.add(query)
    terms = {"currency": "XTR", "total_amount": 1, "invoice_payload": "credits:50"}
    await server.push(pre_checkout_query={"id": query, "from": ada.person.to_json(), **terms})
    answer = await ada.answer_to(query)
    assert answer["ok"] is False
    assert "no longer valid" in answer["error_message"]
