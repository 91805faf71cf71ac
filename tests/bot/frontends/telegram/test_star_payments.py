"""Refunds of Telegram Stars: each payment at most once, and no more credits than are left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.quota import Allowance
from bot.frontends.telegram.frontend import Options
from generation.errors import PictureFailed
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_faults import api_error, html_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser


@pytest.fixture
def admin_user(server: TelegramServer) -> TelegramUser:
    return TelegramUser(server, "Boss")


@pytest.fixture
async def paid_app(
    server: TelegramServer, admin_user: TelegramUser, tmp_path: Path
) -> AsyncIterator[TelegramApp]:
    options = Options(
        token=server.token, api_url=server.url, stars_per_credit=2, admins=frozenset({admin_user.id})
    )
    async with running_app(tmp_path, options, credits_=0) as paid_app:
        yield paid_app


async def buy_pack(ada: TelegramUser, pack: int) -> str:
    await ada.writes("/buy")
    await ada.answer_to(await ada.presses(await ada.hears("How many credits"), f"{pack} credits"))
    charge = await ada.pays(await ada.receives("invoice"))
    await ada.hears(f"{pack} credits are yours")
    return charge


@pytest.mark.usefixtures("paid_app")
async def test_unused_pack_is_refunded_once(server: TelegramServer, ada: TelegramUser) -> None:
    charge = await buy_pack(ada, 50)
    await ada.writes("/paysupport")
    offer = await ada.hears("return a pack for its Stars")
    data = offer.button("refund stars")["callback_data"]
    await ada.answer_to(await ada.sends_callback(offer, data))
    await ada.hears("on their way back")
    assert server.world.refunded == {charge}
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")
    eve = TelegramUser(server, "Eve")
    assert "cannot be refunded" in (await eve.answer_to(await eve.sends_callback(offer, data)))["text"]


async def test_used_pack_is_not_refundable(ada: TelegramUser, paid_app: TelegramApp) -> None:
    await buy_pack(ada, 10)
    await ada.writes("/video a fox")
    await paid_app.telegram.until_delivered(1)
    await ada.writes("/paysupport")
    support = await ada.hears("return a pack for its Stars")
    assert support.buttons == []


async def test_failed_clip_refunds_credits_and_offers_stars(
    server: TelegramServer, ada: TelegramUser, paid_app: TelegramApp
) -> None:
    charge = await buy_pack(ada, 10)
    paid_app.engine.error = PictureFailed("tiny", "the engine failed")
    await ada.writes("/video a fox")
    failed = await ada.hears("credits are back")
    await ada.answer_to(await ada.presses(failed, "refund stars for 10"))
    await ada.hears("on their way back")
    assert server.world.refunded == {charge}


async def test_admin_refund_removes_the_remaining_credits(
    server: TelegramServer, ada: TelegramUser, admin_user: TelegramUser, paid_app: TelegramApp
) -> None:
    charge = await buy_pack(ada, 10)
    await ada.writes("/video a fox 4s")
    await paid_app.telegram.until_delivered(1)
    await ada.writes(f"/refund {charge}")
    await ada.hears("Only an admin")
    await admin_user.writes("/refund nonsense")
    await admin_user.hears("cannot be refunded")
    await admin_user.writes(f"/refund {charge}")
    await admin_user.hears("Stars for 10 credits")
    assert server.world.refunded == {charge}
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")
    await admin_user.writes(f"/refund {charge}")
    await server.wait_until(
        lambda: len([m for m in admin_user.bot_messages() if "cannot be refunded" in m.text]) == 2
    )


@pytest.mark.usefixtures("paid_app")
async def test_refund_by_telegram_is_recorded_once(server: TelegramServer, ada: TelegramUser) -> None:
    charge = await buy_pack(ada, 50)
    refund = {
        "currency": "XTR",
        "total_amount": 100,
        "invoice_payload": "credits:50",
        "telegram_payment_charge_id": charge,
        "provider_payment_charge_id": "",
    }
    for _ in range(2):
        polls = server.polls
        await ada.writes("", extra={"refunded_payment": refund})
        # the next poll begins after the update was handled
        await server.wait_until(lambda before=polls: server.polls > before)  # type: ignore[misc]
    await ada.writes("/quota")
    await ada.hears("You have 0 of 0")


@pytest.mark.usefixtures("paid_app")
async def test_invoice_at_an_outdated_price_is_refused(server: TelegramServer, ada: TelegramUser) -> None:
    query = "4711"
    server.world.queries.add(query)
    terms = {"currency": "XTR", "total_amount": 1, "invoice_payload": "credits:50"}
    await server.push_update(pre_checkout_query={"id": query, "from": ada.person.to_json(), **terms})
    answer = await ada.answer_to(query)
    assert answer["ok"] is False
    assert "no longer valid" in answer["error_message"]


async def credits_of(app: TelegramApp, user: TelegramUser) -> int:
    return (await app.store.balance(f"telegram:{user.id}", Allowance(credits=0))).granted


async def test_two_refunds_pressed_at_once_do_not_use_the_same_credits(
    server: TelegramServer, ada: TelegramUser, paid_app: TelegramApp
) -> None:
    await buy_pack(ada, 10)
    server.world.charges["charge-2"] = ada.id
    await paid_app.store.record_purchase(f"telegram:{ada.id}", 10, payment="telegram:charge-2")
    await ada.writes("/paysupport")
    offer = await ada.hears("return a pack for its Stars")
    assert len(offer.buttons) == 2
    paid_app.engine.unblocked.clear()
    await ada.writes("/video a fox")
    await ada.hears("Clip #1")
    spent = 20 - await credits_of(paid_app, ada)
    assert 0 < spent <= 10
    queries = [await ada.sends_callback(offer, button["callback_data"]) for button in offer.buttons]
    answers = [await ada.answer_to(query) for query in queries]
    assert len([a for a in answers if "cannot be refunded" in a.get("text", "")]) == 1
    assert len(server.world.refunded) == 1
    assert await credits_of(paid_app, ada) == 10 - spent
    paid_app.engine.unblocked.set()


async def test_credits_are_withdrawn_before_telegram_is_asked(
    server: TelegramServer, ada: TelegramUser, paid_app: TelegramApp
) -> None:
    charge = await buy_pack(ada, 10)
    await ada.writes("/paysupport")
    offer = await ada.hears("return a pack for its Stars")
    server.fail_next("refundStarPayment", html_error(502), html_error(502), html_error(502))
    answer = await ada.answer_to(await ada.presses(offer, "refund stars"))
    assert "under way" in answer["text"]
    await ada.writes("/video a fox")
    await ada.hears("0 credits left")
    assert await credits_of(paid_app, ada) == 0
    server.faults.pending.clear()
    await paid_app.studio.resume_refunds("telegram", paid_app.telegram.payments._return_stars)  # type: ignore[union-attr]
    assert server.world.refunded == {charge}
    assert await paid_app.store.payments_of(f"telegram:{ada.id}") == []


async def test_a_refused_refund_is_booked_back(
    server: TelegramServer, ada: TelegramUser, paid_app: TelegramApp
) -> None:
    await buy_pack(ada, 10)
    await ada.writes("/paysupport")
    offer = await ada.hears("return a pack for its Stars")
    server.fail_next("refundStarPayment", api_error(400, "Bad Request: CHARGE_NOT_FOUND"))
    answer = await ada.answer_to(await ada.presses(offer, "refund stars"))
    assert "cannot be refunded" in answer["text"]
    assert await credits_of(paid_app, ada) == 10
    await ada.answer_to(await ada.sends_callback(offer, offer.button("refund stars")["callback_data"] + ":2"))
    await ada.hears("on their way back")


async def test_a_refund_that_a_crash_interrupted_is_finished_after_the_start(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    options = Options(token=server.token, api_url=server.url, stars_per_credit=2)
    async with running_app(tmp_path, options, credits_=0) as app:
        charge = await buy_pack(ada, 10)
        (payment,) = await app.store.payments_of(f"telegram:{ada.id}")
        await app.store.begin_own_refund(f"telegram:{ada.id}", payment.id)
    async with running_app(tmp_path, options, credits_=0) as app:
        await server.wait_until(lambda: server.world.refunded == {charge})
        assert await credits_of(app, ada) == 0


async def test_refunds_are_finished_and_recorded_although_nothing_is_sold_any_more(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    key = f"telegram:{ada.id}"
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url), credits_=0) as app:
        await app.store.record_purchase(key, 10, payment="telegram:reported")
        refund = {
            "currency": "XTR",
            "total_amount": 20,
            "invoice_payload": "credits:10",
            "telegram_payment_charge_id": "reported",
            "provider_payment_charge_id": "",
        }
        polls = await server.wait_until(lambda: server.polls)
        await ada.writes("", extra={"refunded_payment": refund})
        await server.wait_until(lambda: server.polls > polls)  # the update was handled
        assert await credits_of(app, ada) == 0
        server.world.charges["interrupted"] = ada.id
        await app.store.record_purchase(key, 10, payment="telegram:interrupted")
        (payment,) = await app.store.payments_of(key)
        await app.store.begin_own_refund(key, payment.id)
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url), credits_=0):
        await server.wait_until(lambda: server.world.refunded == {"interrupted"})
