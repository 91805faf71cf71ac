"""The whole way in Telegram: commands become clips, buttons go on working, mishaps are told honestly."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from bot.domain.jobs import State
from bot.frontends.telegram.command_menu import EVERYBODY, commands
from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.updates import Webhook
from bot.i18n import messages
from bot.store.store import Access, Entry, Store
from generation.clip import Frames
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.media.provenance import with_recipe
from generation.request import Kind, Music, Request
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_faults import flood, html, reset
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Message


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_words_that_a_model_does_not_know_are_told_before_and_with_the_clip(
    house: Cinema, ada: Someone
) -> None:
    house.engine.gate.clear()
    await ada.writes("/video a glass rocket model=pocket")
    status = await ada.hears("does not know “glass”")
    assert "pocket knows: red" in status.text
    house.engine.gate.set()
    assert "“glass”" in (await ada.receives("video")).text


@pytest.mark.parametrize("door", ["polling", "webhook"])
async def test_a_prompt_becomes_a_clip_by_either_door(
    server: TelegramServer, ada: Someone, tmp_path: Path, door: str
) -> None:
    port = free_port()
    hook = Webhook(address=f"http://127.0.0.1:{port}/telegram", secret="s" * 24, port=port)
    options = Options(token=server.token, api=server.url, webhook=hook if door == "webhook" else None)
    async with cinema(tmp_path, options) as house:
        if door == "webhook":
            await server.until(lambda: server.webhook)
        house.engine.gate.clear()
        await ada.writes("/video a fox in the snow #lofi 2s 9:16 seed=7")
        status = await ada.hears("Clip #1")
        assert status.button("cancel")["callback_data"] == "cancel:1"
        house.engine.gate.set()
        clip = await ada.receives("video")
        assert clip is status, "the status message itself becomes the clip"
        video = clip.media["video"]
        assert server.world.files[clip.file_id] == b"job 1"
        assert (video["width"], video["height"], video["duration"]) == (64, 128, 2)
        assert server.world.files[video["thumbnail"]["file_id"]] == b"a small picture"
        assert "a fox in the snow" in clip.text
        (sent,) = server.called("editMessageMedia")
        assert sent.parameters["media"]["supports_streaming"] is True
        await house.telegram.until_delivered(1)
        job = await house.studio.job(1)
        assert (job.request.seed, job.request.music.genre) == (7, "lofi")
        assert len(ada.heard()) == 1


async def test_buttons_live_on_after_a_restart(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    options = Options(token=server.token, api=server.url)
    async with cinema(tmp_path, options):
        await ada.writes("/video a fox")
        clip = await ada.receives("video")
    async with cinema(tmp_path, options) as house:
        query = await ada.presses(clip, "re-roll")
        await ada.answer_to(query)
        await ada.hears("Clip #2")
        await server.until(lambda: len([m for m in ada.heard() if m.kind == "video"]) == 2)
        again = await house.studio.job(2)
        assert again.parent == 1
        wall = await ada.presses(clip, "new music")
        await ada.answer_to(wall)
        genres = await ada.hears("Which music")
        await ada.answer_to(await ada.presses(genres, "jazz"))
        await ada.hears("Clip #3")
        assert (await house.studio.job(3)).request.music.genre == "jazz"


@pytest.mark.usefixtures("house")
async def test_query_that_is_too_old_is_still_done(ada: Someone) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await ada.presses(clip, "re-roll", old=True)
    await ada.hears("Clip #2")


async def test_a_tampered_button_does_nothing(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await house.telegram.until_delivered(1)
    for data in ("nonsense", "explode:1", "set:0:seconds=999", "cancel:99999"):
        await ada.answer_to(await ada.sends_back(clip, data))
    await house.telegram.until_delivered(1)
    assert (await house.studio.job(1)).state is State.DELIVERED


async def test_strangers_cannot_cancel_and_the_owner_gets_credits_back(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    house.engine.gate.clear()
    await ada.writes("/video a fox")
    status = await ada.hears("Clip #1")
    eve = Someone(server, "Eve")
    told = await ada.answer_to(await eve.presses(status, "cancel"))
    assert "somebody else" in told["text"]
    assert told["show_alert"] is True
    await ada.presses(status, "cancel")
    await ada.hears("cancelled")
    assert (await house.studio.job(1)).state is State.CANCELLED
    await ada.writes("/quota")
    await ada.hears("1000 of 1000")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/video", "What shall I film?"),
        ("/video fox #jaz", "Did you mean “jazz”"),
        ("/video fox 9999s", "seconds can be"),
        ("/video fox seed=lots", "example"),
        ("/video fox model=gpt", "no model called"),
        ("/vidoe fox", "Did you mean “/video”"),
        ("/animate fox", "Which picture"),
        ("/cancel", "Reply to one with /cancel"),
        ("/recipe", "/recipe 17"),
        ("/cancel 99", "no clip #99"),
        ("/help", "#lofi"),
        ("/start", "Hello Ada"),
        ("/privacy", "clean"),
        ("/models", "Tiny"),
        ("/history", "no clips yet"),
        ("/queue", "Nobody is waiting"),
        ("/settings", "when you do not say"),
        ("/report", "/report 17"),
        ("/buy", "no command called"),
    ],
)
@pytest.mark.usefixtures("house")
async def test_every_command_answers(ada: Someone, text: str, words: str) -> None:
    await ada.writes(text)
    await ada.hears(words)
    assert len(ada.heard()) == 1


async def test_photo_is_brought_to_life(ada: Someone, house: Cinema) -> None:
    picture = BytesIO()
    Image.new("RGB", (40, 30), "orange").save(picture, "JPEG")
    await ada.writes("/animate it wakes up", photo=picture.getvalue())
    await ada.receives("video")
    job = await house.studio.job(1)
    assert job.request.image is not None
    with Image.open(job.request.image) as kept:
        assert (kept.format, kept.size) == ("PNG", (40, 30))
    await ada.writes("/animate now", photo=b"not a picture at all")
    await ada.hears("no readable")


async def test_settings_fill_in_what_was_left_open(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    await ada.writes("/settings")
    page = await ada.hears("when you do not say")
    await ada.answer_to(await ada.presses(page, "9:16"))
    await server.until(lambda: "✓ 9:16" in [button["text"] for button in page.buttons])
    await ada.writes("/video a fox")
    await ada.receives("video")
    job = await house.studio.job(1)
    assert (job.request.width, job.request.height) == (64, 128)


async def test_recipe_makes_the_same_clip_again(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    await ada.writes('/video a fox in <b>snow</b> & ice #jazz seed=3 negative="blurry"')
    clip = await ada.receives("video")
    await ada.writes("/recipe", reply_to=clip)
    recipe = await ada.hears("seed=3", kind="text")
    (entity,) = recipe.entities
    assert entity["type"] == "code", "a tap copies it"
    await ada.writes(recipe.text[entity["offset"] :])
    await server.until(lambda: len([m for m in ada.heard() if m.kind == "video"]) == 2)
    first, second = (await house.studio.job(1)).request, (await house.studio.job(2)).request
    assert (first.prompt, first.seed, first.negative, first.frames) == (
        second.prompt,
        second.seed,
        second.negative,
        second.frames,
    )
    assert first.music.genre == second.music.genre


@pytest.mark.usefixtures("house")
async def test_recipe_is_read_from_a_file_that_tells_it(ada: Someone, tmp_path: Path) -> None:
    request = Request(
        prompt="a kite over the sea",
        kind=Kind.VIDEO,
        model="testcard",
        width=64,
        height=64,
        frames=4,
        fps=8.0,
        seed=99,
        steps=2,
        guidance=1.0,
        music=Music(genre="jazz", maker="band"),
    )
    plain = await mux(
        Frames(np.zeros((4, 64, 64, 3), np.uint8), 8.0), None, tmp_path / "a.mp4", ffmpeg=find()
    )
    told = await with_recipe(plain, request, tmp_path / "b.mp4", ffmpeg=find())
    await ada.writes("/recipe", document=(told.path.read_bytes(), "kite.mp4", "video/mp4"))
    await ada.hears("seed=99")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    still = structs.replace(plain, path=tmp_path / "a.png")
    drawn = await with_recipe(still, structs.replace(request, seed=98), tmp_path / "b.png", ffmpeg=find())
    await ada.writes("/recipe", document=(drawn.path.read_bytes(), "kite.png", "image/png"))
    await ada.hears("seed=98")
    await ada.writes("/recipe", document=(plain.path.read_bytes(), "plain.mp4", "video/mp4"))
    await ada.hears("does not tell how it was made")


async def test_group_hears_only_commands_and_topics_are_kept(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    group = server.world.group("Film club", forum=True, topics=(7,))
    await ada.writes("what a lovely video that was", chat=group, thread=7)
    await ada.writes("/video@other_bot a fox", chat=group, thread=7)
    await ada.writes("/weather", chat=group, thread=7)
    await ada.writes("/video@matinee_bot a fox", chat=group, thread=7)
    clip = await ada.receives("video", chat=group)
    assert clip.thread == 7
    assert [message.kind for message in ada.heard(group)] == ["video"]
    assert (await house.studio.job(1)).requester.community == f"telegram:{group.id}"


async def test_edited_command_is_not_a_second_one(ada: Someone, house: Cinema) -> None:
    message = await ada.writes("/video a fox")
    await ada.receives("video")
    await ada.edits(message, "/video a wolf")
    await ada.writes("/queue")
    await ada.hears("Nobody is waiting")
    assert [job.id for job in await house.store.history(f"telegram:{ada.id}")] == [1]


@pytest.mark.usefixtures("house")
async def test_update_told_twice_makes_one_clip(server: TelegramServer, ada: Someone) -> None:
    message = await ada.writes("/video a fox")
    await ada.receives("video")
    await server.replay({"update_id": 2_000_000, "message": message.to_json()})
    await ada.writes("/queue")
    await ada.hears("Nobody is waiting")
    assert len(ada.heard()) == 2


async def test_clips_can_be_shared_anywhere(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await house.telegram.until_delivered(1)
    await ada.writes("/history")
    await ada.hears("done")
    (offered,) = await ada.looks_up("fox")
    assert offered["video_file_id"] == clip.file_id
    assert await ada.looks_up("wolf") == []


async def test_failure_is_told_with_its_refund(ada: Someone, house: Cinema) -> None:
    house.engine.broken = True
    await ada.writes("/video a fox")
    await ada.hears("credits are back")
    await ada.writes("/quota")
    await ada.hears("1000 of 1000")


@pytest.mark.usefixtures("house")
async def test_menu_is_set_for_everybody_and_for_groups(server: TelegramServer) -> None:
    await server.until(lambda: any("all_group_chats" in scope for scope, _ in server.world.commands))
    default = server.world.commands['{"type": "default"}', ""]
    assert {"video", "privacy"} <= {command["command"] for command in default}


async def test_what_is_kept_is_handed_over_and_deleted(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    await ada.writes("/video a secret fox")
    await house.telegram.until_delivered(1)
    await ada.writes("/privacy export")
    file = await ada.receives("document")
    assert "a secret fox" in server.world.files[file.file_id].decode()
    await ada.writes("/privacy delete")
    sure = await ada.hears("cannot be undone")
    await ada.answer_to(await ada.presses(sure, "delete everything"))
    await ada.hears("1 clips and their prompts are gone")
    await ada.writes("/privacy export")
    await server.until(lambda: len([m for m in ada.heard() if m.kind == "document"]) == 2)
    assert "a secret fox" not in server.world.files[ada.heard()[-1].file_id].decode()


def test_menu_speaks_every_language_in_full() -> None:
    assert {"de", "es", "fr", "ja", "pt"} <= set(messages.languages())
    told = {language: commands(EVERYBODY, language) for language in messages.languages()}
    assert len({menu[0].description for menu in told.values()}) == len(told)
    assert all(0 < len(command.description) <= 256 for menu in told.values() for command in menu)


async def test_admin_verbs_are_for_admins(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    eve = Someone(server, "Eve")
    options = Options(token=server.token, api=server.url, admins=frozenset({ada.id}))
    async with cinema(tmp_path, options) as house:
        await eve.writes("/quota")
        await eve.hears("of 1000")
        await eve.writes(f"/admin quota grant {eve.id} 500")
        await eve.hears("only an admin")
        await ada.writes("/admin")
        await ada.hears("/admin queue pause")
        await eve.writes("/video a fox")
        await eve.receives("video")
        await ada.writes(f"/admin quota grant telegram:{eve.id} 500")
        await ada.hears("500")
        await ada.writes("/admin qeue list")
        await ada.hears("queue list")
        await house.telegram.until_delivered(1)
        await eve.writes("/quota")
        await eve.hears("granted")


async def test_stars_buy_credits_once(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    options = Options(token=server.token, api=server.url, stars=2)
    async with cinema(tmp_path, options) as house:
        await ada.writes("/buy")
        offer = await ada.hears("How many credits")
        await ada.answer_to(await ada.presses(offer, "50 credits for 100"))
        invoice = await ada.receives("invoice")
        charge = await ada.pays(invoice)
        await ada.hears("50 credits are yours")
        paid = next(m for m in server.world.messages if m.kind == "successful_payment")
        await server.replay({"update_id": 3_000_000, "message": paid.to_json()})
        await ada.writes("/quota")
        await ada.hears("50 of them granted")
        house.engine.broken = True
        await ada.writes("/video a fox")
        await ada.hears("credits are back")
    entries = [entry.note for entry in await noted(tmp_path, ada)]
    assert entries.count(f"payment:telegram:{charge}") == 1


async def test_payment_that_cannot_be_booked_goes_back(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    async with cinema(tmp_path, Options(token=server.token, api=server.url, stars=2)):
        await ada.writes("/buy")
        await ada.answer_to(await ada.presses(await ada.hears("How many credits"), "50 credits"))
        invoice = await ada.receives("invoice")
        server.world.charges["stray"] = ada.id
        stray = server.world.add(Message(server.world.number(), ada.home, ada.person))
        terms = {"currency": "XTR", "total_amount": 1, "invoice_payload": server.world.invoices[invoice.id]}
        numbers = {"telegram_payment_charge_id": "stray", "provider_payment_charge_id": ""}
        stray.media = {"successful_payment": terms | numbers}
        await server.push(message=stray.to_json())
        await server.until(lambda: "stray" in server.world.refunded)


async def test_nothing_is_sold_where_no_price_is_set(ada: Someone, house: Cinema) -> None:
    await ada.writes("/buy")
    await ada.hears("no command called")
    assert house.telegram.till is None


async def noted(folder: Path, someone: Someone) -> list[Entry]:
    store = await Store.open(folder, Access.READER)
    try:
        return await store.entries(f"telegram:{someone.id}", limit=100)
    finally:
        await store.close()


# Deliveries that go wrong


async def test_silence_after_the_upload_is_told_and_sent_again_only_when_asked(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    server.fail("editMessageMedia", reset(done=False))
    await ada.writes("/video a fox")
    doubtful = await ada.hears("never said that it arrived")
    assert (await house.studio.job(1)).state is State.UNCERTAIN
    assert len(server.called("editMessageMedia")) == 1
    await ada.answer_to(await ada.presses(doubtful, "send again"))
    await ada.receives("video")
    await server.until(lambda: len(ada.heard()) == 1)


@pytest.mark.usefixtures("house")
async def test_refusals_that_pass_are_tried_again(server: TelegramServer, ada: Someone) -> None:
    server.fail("editMessageMedia", flood(1))
    await ada.writes("/video a fox")
    await ada.receives("video")
    assert {call.get("action") for call in server.called("sendChatAction")} == {"upload_video"}
    assert len(ada.heard()) == 1


async def test_too_large_is_made_smaller_even_when_a_proxy_says_so(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    server.fail("editMessageMedia", html(413))
    house.engine.size = 1000
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    assert len(server.world.files[clip.file_id]) == 804


async def test_who_blocked_us_is_left_in_peace(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    house.engine.gate.clear()
    await ada.writes("/video a fox")
    await ada.hears("Clip #1")
    ada.home.blocked = "bot was blocked by the user"
    house.engine.gate.set()
    await server.until(lambda: server.called("editMessageMedia"))
    bob = Someone(server, "Bob")
    await bob.writes("/video a wolf")
    await bob.receives("video")
    assert (await house.studio.job(1)).state is State.FAILED


async def test_deleted_messages_do_not_stop_a_clip(ada: Someone, house: Cinema) -> None:
    house.engine.gate.clear()
    message = await ada.writes("/video a fox")
    status = await ada.hears("Clip #1")
    message.deleted = status.deleted = True
    house.engine.gate.set()
    clip = await ada.receives("video")
    assert clip.reply_to is None


async def test_chat_that_became_a_supergroup_gets_its_clip_there(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    old, new = server.world.group("club"), server.world.group("club")
    house.engine.gate.clear()
    await ada.writes("/video a fox", chat=old)
    await ada.hears("Clip #1", chat=old)
    old.migrated_to = new.id
    house.engine.gate.set()
    await ada.receives("video", chat=new)
    assert (await house.studio.job(1)).reply_to.chat == str(new.id)


async def test_wrong_secret_at_the_webhook_is_turned_away(server: TelegramServer, tmp_path: Path) -> None:
    port = free_port()
    hook = Webhook(address=f"http://127.0.0.1:{port}/telegram", secret="s" * 24, port=port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            cinema(tmp_path, Options(token=server.token, api=server.url, webhook=hook))
        )
        await server.until(lambda: server.webhook)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        for headers, status in (({}, 403), ({"X-Telegram-Bot-Api-Secret-Token": "s" * 24}, 400)):
            async with client.post(hook.address, data=b"{", headers=headers) as answer:
                assert answer.status == status


async def test_ones_data_goes_only_when_one_is_sure(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    await ada.writes("/video a fox")
    await ada.receives("video")
    await house.telegram.until_delivered(1)
    await ada.writes("/privacy delete")
    sure = await ada.hears("cannot be undone")
    eve = Someone(server, "Eve")
    assert "whoever asked" in (await ada.answer_to(await eve.presses(sure, "delete everything")))["text"]
    assert (await house.studio.job(1)).request.prompt == "a fox"
    await ada.answer_to(await ada.presses(sure, "delete everything"))
    assert (await house.studio.job(1)).request.prompt == ""
    assert sure.buttons == []


async def test_a_code_joins_two_platforms(ada: Someone, house: Cinema) -> None:
    code = await house.store.link_code("discord:42")
    await ada.writes(f"/settings link {code}")
    await ada.hears("share credits and history with discord:42")
    await ada.writes("/settings link NONSENSE")
    await ada.hears("That code is wrong")
    await ada.writes("/settings link")
    await ada.hears("Say this on the other platform")
