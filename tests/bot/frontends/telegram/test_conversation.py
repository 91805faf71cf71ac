"""Whole conversations: commands become clips, buttons survive restarts, failures are reported."""

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

from bot.domain.errors import NotYourButtons
from bot.domain.jobs import JobState
from bot.frontends.telegram.command_menu import USER_COMMANDS, menu_commands
from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.updates import Webhook
from bot.i18n import messages
from bot.store.store import Access, LedgerEntry, LinkSide, Store
from generation.clip import Frames
from generation.errors import PictureFailed
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.media.provenance import with_recipe
from tests.factories import make_request
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_faults import connection_reset, flood_error, html_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Message

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_unknown_words_are_named_before_and_with_the_clip(app: TelegramApp, ada: TelegramUser) -> None:
    app.engine.unblocked.clear()
    await ada.writes("/video a glass rocket model=pocket")
    status = await ada.hears("does not know “glass”")
    assert "pocket knows: red" in status.text
    app.engine.unblocked.set()
    assert "“glass”" in (await ada.receives("video")).text


@pytest.mark.parametrize("transport", ["polling", "webhook"])
async def test_prompt_becomes_a_clip_by_polling_and_by_webhook(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, transport: str
) -> None:
    port = free_port()
    hook = Webhook(url=f"http://127.0.0.1:{port}/telegram", secret="s" * 24, port=port)
    options = Options(
        token=server.token, api_url=server.url, webhook=hook if transport == "webhook" else None
    )
    async with running_app(tmp_path, options) as app:
        if transport == "webhook":
            await server.wait_until(lambda: server.webhook)
        app.engine.unblocked.clear()
        await ada.writes("/video a fox in the snow #lofi 2s 9:16 seed=7")
        status = await ada.hears("Clip #1")
        assert status.button("cancel")["callback_data"] == "cancel:1"
        app.engine.unblocked.set()
        clip = await ada.receives("video")
        assert clip is status, "the status message is edited into the clip"
        video = clip.media["video"]
        assert server.world.files[clip.file_id] == b"job 1"
        assert (video["width"], video["height"], video["duration"]) == (64, 128, 2)
        assert server.world.files[video["thumbnail"]["file_id"]] == b"a small picture"
        assert "a fox in the snow" in clip.text
        (sent,) = server.calls_of("editMessageMedia")
        assert sent.parameters["media"]["supports_streaming"] is True
        await app.telegram.until_delivered(1)
        job = await app.store.job(1)
        assert (job.request.seed, job.request.music.genre) == (7, "lofi")
        assert len(ada.bot_messages()) == 1


async def test_buttons_work_after_a_restart(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    options = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, options):
        await ada.writes("/video a fox")
        clip = await ada.receives("video")
    async with running_app(tmp_path, options) as app:
        query = await ada.presses(clip, "re-roll")
        await ada.answer_to(query)
        await ada.hears("Clip #2")
        await server.wait_until(lambda: len([m for m in ada.bot_messages() if m.kind == "video"]) == 2)
        again = await app.store.job(2)
        assert again.parent == 1
        await ada.answer_to(await ada.presses(clip, "new music"))
        genre_menu = await ada.hears("Which music")
        await ada.answer_to(await ada.presses(genre_menu, "jazz"))
        await ada.hears("Clip #3")
        assert (await app.store.job(3)).request.music.genre == "jazz"


@pytest.mark.usefixtures("app")
async def test_expired_callback_is_still_performed(ada: TelegramUser) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await ada.presses(clip, "re-roll", expired=True)
    await ada.hears("Clip #2")


async def test_manipulated_callback_data_does_nothing(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await app.telegram.until_delivered(1)
    for data in ("nonsense", "explode:1", "set:0:seconds=999", "cancel:99999"):
        await ada.answer_to(await ada.sends_callback(clip, data))
    await app.telegram.until_delivered(1)
    assert (await app.store.job(1)).state is JobState.DELIVERED


async def test_strangers_cannot_cancel_and_the_owner_gets_credits_back(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    app.engine.unblocked.clear()
    await ada.writes("/video a fox")
    status = await ada.hears("Clip #1")
    eve = TelegramUser(server, "Eve")
    answer = await ada.answer_to(await eve.presses(status, "cancel"))
    assert "There is no clip #1" in answer["text"]
    assert answer["show_alert"] is True
    await ada.presses(status, "cancel")
    await ada.hears("cancelled")
    assert (await app.store.job(1)).state is JobState.CANCELLED
    await ada.writes("/quota")
    await ada.hears("1000 of 1000")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/video", "What should the clip show?"),
        ("/video fox #jaz", "Did you mean “jazz”"),
        ("/video fox 9999s", "Choose seconds from"),
        ("/video fox seed=lots", "example"),
        ("/video fox model=gpt", "no model called"),
        ("/vidoe fox", "Did you mean “/video”"),
        ("/animate fox", "Which picture"),
        ("/cancel", "reply to it with /cancel"),
        ("/recipe", "/recipe 17"),
        ("/cancel 99", "no clip #99"),
        ("/help", "#lofi"),
        ("/start", "Hello Ada"),
        ("/privacy", "delete them"),
        ("/models", "Tiny"),
        ("/history", "no clips yet"),
        ("/queue", "The queue is empty"),
        ("/settings", "Choose your defaults"),
        ("/report", "/report 17"),
        ("/buy", "no command called"),
    ],
)
@pytest.mark.usefixtures("app")
async def test_every_command_answers(ada: TelegramUser, text: str, words: str) -> None:
    await ada.writes(text)
    await ada.hears(words)
    assert len(ada.bot_messages()) == 1


async def test_photo_is_animated(ada: TelegramUser, app: TelegramApp) -> None:
    picture = BytesIO()
    Image.new("RGB", (40, 30), "orange").save(picture, "JPEG")
    await ada.writes("/animate it wakes up", photo=picture.getvalue())
    await ada.receives("video")
    job = await app.store.job(1)
    assert job.request.image is not None
    with Image.open(job.request.image) as kept:
        assert (kept.format, kept.size) == ("PNG", (40, 30))
    await ada.writes("/animate now", photo=b"not a picture at all")
    await ada.hears("not a readable")


async def test_a_blocked_user_leaves_no_file(ada: TelegramUser, app: TelegramApp, tmp_path: Path) -> None:
    await app.store.run_admin(
        lambda c: c.block(f"telegram:{ada.id}", until=None, reason="rude"), read_only=False
    )
    picture = BytesIO()
    Image.new("RGB", (40, 30), "orange").save(picture, "JPEG")
    await ada.writes("/animate it wakes up", photo=picture.getvalue())
    await ada.hears("cannot use Matinee")
    assert not [*(tmp_path / "uploads").rglob("*")]


async def test_settings_fill_in_what_was_left_open(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes("/settings")
    page = await ada.hears("Choose your defaults")
    await ada.answer_to(await ada.presses(page, "9:16"))
    await server.wait_until(lambda: "✓ 9:16" in [button["text"] for button in page.buttons])
    await ada.writes("/video a fox")
    await ada.receives("video")
    job = await app.store.job(1)
    assert (job.request.width, job.request.height) == (64, 128)


async def test_recipe_makes_the_same_clip_again(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes('/video a fox in <b>snow</b> & ice #jazz seed=3 negative="blurry"')
    clip = await ada.receives("video")
    await ada.writes("/recipe", reply_to=clip)
    recipe = await ada.hears("seed=3", kind="text")
    (entity,) = recipe.entities
    assert entity["type"] == "code", "a tap must copy the recipe"
    await ada.writes(recipe.text[entity["offset"] :])
    await server.wait_until(lambda: len([m for m in ada.bot_messages() if m.kind == "video"]) == 2)
    first, second = (await app.store.job(1)).request, (await app.store.job(2)).request
    assert (first.prompt, first.seed, first.negative, first.frames) == (
        second.prompt,
        second.seed,
        second.negative,
        second.frames,
    )
    assert first.music.genre == second.music.genre


@pytest.mark.usefixtures("app")
async def test_recipe_is_read_from_a_file_that_embeds_it(ada: TelegramUser, tmp_path: Path) -> None:
    request = make_request("a kite over the sea", width=64, height=64, frames=4, fps=8.0, seed=99)
    plain = await mux(
        Frames(np.zeros((4, 64, 64, 3), np.uint8), 8.0), None, tmp_path / "a.mp4", ffmpeg=find()
    )
    clip_with_recipe = await with_recipe(plain, request, tmp_path / "b.mp4", ffmpeg=find())
    await ada.writes("/recipe", document=(clip_with_recipe.path.read_bytes(), "kite.mp4", "video/mp4"))
    await ada.hears("seed=99")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    still = structs.replace(plain, path=tmp_path / "a.png")
    picture = await with_recipe(still, structs.replace(request, seed=98), tmp_path / "b.png", ffmpeg=find())
    await ada.writes("/recipe", document=(picture.path.read_bytes(), "kite.png", "image/png"))
    await ada.hears("seed=98")
    await ada.writes("/recipe", document=(plain.path.read_bytes(), "plain.mp4", "video/mp4"))
    await ada.hears("contains no recipe")


async def test_group_answers_only_commands_and_in_their_topic(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("Film club", forum=True, topics=(7,))
    await ada.writes("what a lovely video that was", chat=group, thread=7)
    await ada.writes("/video@other_bot a fox", chat=group, thread=7)
    await ada.writes("/weather", chat=group, thread=7)
    await ada.writes("/video@matinee_bot a fox", chat=group, thread=7)
    clip = await ada.receives("video", chat=group)
    assert clip.thread == 7
    assert [message.kind for message in ada.bot_messages(group)] == ["video"]
    assert (await app.store.job(1)).requester.community == f"telegram:{group.id}"


async def test_edited_command_is_ignored(ada: TelegramUser, app: TelegramApp) -> None:
    message = await ada.writes("/video a fox")
    await ada.receives("video")
    await ada.edits(message, "/video a wolf")
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert [job.id for job in await app.store.history(f"telegram:{ada.id}")] == [1]


@pytest.mark.usefixtures("app")
async def test_repeated_update_makes_one_clip(server: TelegramServer, ada: TelegramUser) -> None:
    message = await ada.writes("/video a fox")
    await ada.receives("video")
    await server.repeat_update({"update_id": 2_000_000, "message": message.to_json()})
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert len(ada.bot_messages()) == 2


async def test_clips_are_offered_in_inline_mode(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    await app.telegram.until_delivered(1)
    await ada.writes("/history")
    await ada.hears("done")
    (offered,) = await ada.searches_inline("fox")
    assert offered["video_file_id"] == clip.file_id
    assert await ada.searches_inline("wolf") == []


async def test_failure_message_names_the_refund(ada: TelegramUser, app: TelegramApp) -> None:
    app.engine.error = PictureFailed("tiny", "the engine failed")
    await ada.writes("/video a fox")
    await ada.hears("credits are back")
    await ada.writes("/quota")
    await ada.hears("1000 of 1000")


@pytest.mark.usefixtures("app")
async def test_menu_is_published_for_users_and_groups(server: TelegramServer) -> None:
    await server.wait_until(lambda: any("all_group_chats" in scope for scope, _ in server.world.commands))
    default = server.world.commands['{"type": "default"}', ""]
    assert {"video", "privacy"} <= {command["command"] for command in default}


async def test_personal_data_is_exported_and_deleted(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes("/video a secret fox")
    await app.telegram.until_delivered(1)
    await ada.writes("/privacy export")
    file = await ada.receives("document")
    assert "a secret fox" in server.world.files[file.file_id].decode()
    await ada.writes("/privacy delete")
    question = await ada.hears("cannot be undone")
    await ada.answer_to(await ada.presses(question, "delete everything"))
    await ada.hears("1 clips with their prompts")
    await ada.writes("/privacy export")
    await server.wait_until(lambda: len([m for m in ada.bot_messages() if m.kind == "document"]) == 2)
    assert "a secret fox" not in server.world.files[ada.bot_messages()[-1].file_id].decode()


def test_menu_is_complete_in_every_language() -> None:
    assert {"de", "es", "fr", "ja", "pt"} <= set(messages.languages())
    menus = {language: menu_commands(USER_COMMANDS, language) for language in messages.languages()}
    assert len({menu[0].description for menu in menus.values()}) == len(menus)
    assert all(0 < len(command.description) <= 256 for menu in menus.values() for command in menu)


async def test_admin_verbs_are_for_admins(server: TelegramServer, ada: TelegramUser, tmp_path: Path) -> None:
    eve = TelegramUser(server, "Eve")
    options = Options(token=server.token, api_url=server.url, admins=frozenset({ada.id}))
    async with running_app(tmp_path, options) as app:
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
        await app.telegram.until_delivered(1)
        await eve.writes("/quota")
        await eve.hears("granted")


async def test_a_forwarded_admin_command_is_ignored(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    """Eve writes the command, and gets an admin to forward it to the bot."""
    eve = TelegramUser(server, "Eve")
    origins = (
        {"type": "user", "date": 1, "sender_user": eve.person.to_json()},
        {"type": "user", "date": 1, "sender_user": ada.person.to_json()},
        {"type": "hidden_user", "date": 1, "sender_user_name": "Eve"},
    )
    options = Options(token=server.token, api_url=server.url, admins=frozenset({ada.id}))
    async with running_app(tmp_path, options) as app:
        for origin in origins:
            await ada.writes("/admin queue pause", extra={"forward_origin": origin})
        await ada.writes("/queue")
        await ada.hears("The queue is empty")
        assert not await app.store.paused()
        await ada.writes("/admin queue pause")
        await ada.hears("Paused")
        assert await app.store.paused()


async def test_stars_buy_credits_once(server: TelegramServer, ada: TelegramUser, tmp_path: Path) -> None:
    options = Options(token=server.token, api_url=server.url, stars_per_credit=2)
    async with running_app(tmp_path, options) as app:
        await ada.writes("/buy")
        offer = await ada.hears("How many credits")
        await ada.answer_to(await ada.presses(offer, "50 credits for 100"))
        invoice = await ada.receives("invoice")
        charge = await ada.pays(invoice)
        await ada.hears("50 credits are yours")
        paid = next(m for m in server.world.messages if m.kind == "successful_payment")
        await server.repeat_update({"update_id": 3_000_000, "message": paid.to_json()})
        await ada.writes("/quota")
        await ada.hears("50 of them granted")
        app.engine.error = PictureFailed("tiny", "the engine failed")
        await ada.writes("/video a fox")
        await ada.hears("credits are back")
    entries = [entry.note for entry in await ledger_entries(tmp_path, ada)]
    assert entries.count(f"payment:telegram:{charge}") == 1


async def test_payment_that_cannot_be_recorded_is_refunded(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url, stars_per_credit=2)):
        await ada.writes("/buy")
        await ada.answer_to(await ada.presses(await ada.hears("How many credits"), "50 credits"))
        invoice = await ada.receives("invoice")
        server.world.charges["stray"] = ada.id
        stray = server.world.add_message(Message(server.world.next_id(), ada.private_chat, ada.person))
        terms = {"currency": "XTR", "total_amount": 1, "invoice_payload": server.world.invoices[invoice.id]}
        numbers = {"telegram_payment_charge_id": "stray", "provider_payment_charge_id": ""}
        stray.media = {"successful_payment": terms | numbers}
        await server.push_update(message=stray.to_json())
        await server.wait_until(lambda: "stray" in server.world.refunded)


async def test_buy_is_unknown_without_a_price(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/buy")
    await ada.hears("no command called")
    assert app.telegram.payments is None


async def ledger_entries(folder: Path, someone: TelegramUser) -> list[LedgerEntry]:
    store = await Store.open(folder, Access.READER)
    try:
        return await store.ledger_entries(f"telegram:{someone.id}", limit=100)
    finally:
        await store.close()


# Failed deliveries


async def test_unanswered_upload_is_resent_only_on_request(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    server.fail_next("editMessageMedia", connection_reset(performed=False))
    await ada.writes("/video a fox")
    doubtful = await ada.hears("did not confirm it")
    assert (await app.store.job(1)).state is JobState.UNCERTAIN
    assert len(server.calls_of("editMessageMedia")) == 1
    await ada.answer_to(await ada.presses(doubtful, "send again"))
    await ada.receives("video")
    await server.wait_until(lambda: len(ada.bot_messages()) == 1)


@pytest.mark.usefixtures("app")
async def test_temporary_refusals_are_retried(server: TelegramServer, ada: TelegramUser) -> None:
    server.fail_next("editMessageMedia", flood_error(1))
    await ada.writes("/video a fox")
    await ada.receives("video")
    assert {call.get("action") for call in server.calls_of("sendChatAction")} == {"upload_video"}
    assert len(ada.bot_messages()) == 1


async def test_clip_is_shrunk_when_api_or_proxy_says_too_large(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    server.fail_next("editMessageMedia", html_error(413))
    app.engine.size = 1005
    await ada.writes("/video a fox")
    clip = await ada.receives("video")
    assert len(server.world.files[clip.file_id]) == 804


async def test_job_fails_where_the_user_blocked_the_bot(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    app.engine.unblocked.clear()
    await ada.writes("/video a fox")
    await ada.hears("Clip #1")
    ada.private_chat.blocked = "bot was blocked by the user"
    app.engine.unblocked.set()
    await server.wait_until(lambda: server.calls_of("editMessageMedia"))
    bob = TelegramUser(server, "Bob")
    await bob.writes("/video a wolf")
    await bob.receives("video")
    assert (await app.store.job(1)).state is JobState.FAILED


async def test_deleted_messages_do_not_stop_a_clip(ada: TelegramUser, app: TelegramApp) -> None:
    app.engine.unblocked.clear()
    message = await ada.writes("/video a fox")
    status = await ada.hears("Clip #1")
    message.deleted = status.deleted = True
    app.engine.unblocked.set()
    clip = await ada.receives("video")
    assert clip.reply_to is None


async def test_chat_that_became_a_supergroup_gets_its_clip_there(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    old, new = server.world.add_group("club"), server.world.add_group("club")
    app.engine.unblocked.clear()
    await ada.writes("/video a fox", chat=old)
    await ada.hears("Clip #1", chat=old)
    old.migrated_to = new.id
    app.engine.unblocked.set()
    await ada.receives("video", chat=new)
    assert (await app.store.job(1)).reply_to.chat == str(new.id)


async def test_webhook_rejects_a_wrong_secret(server: TelegramServer, tmp_path: Path) -> None:
    port = free_port()
    hook = Webhook(url=f"http://127.0.0.1:{port}/telegram", secret="s" * 24, port=port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            running_app(tmp_path, Options(token=server.token, api_url=server.url, webhook=hook))
        )
        await server.wait_until(lambda: server.webhook)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        for headers, status in (({}, 403), ({"X-Telegram-Bot-Api-Secret-Token": "s" * 24}, 400)):
            async with client.post(hook.url, data=b"{", headers=headers) as answer:
                assert answer.status == status


async def test_data_is_deleted_only_after_confirmation(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes("/video a fox")
    await ada.receives("video")
    await app.telegram.until_delivered(1)
    await ada.writes("/privacy delete")
    question = await ada.hears("cannot be undone")
    eve = TelegramUser(server, "Eve")
    refusal = await ada.answer_to(await eve.presses(question, "delete everything"))
    assert refusal["text"] == messages.explain(NotYourButtons())
    assert (await app.store.job(1)).request.prompt == "a fox"
    await ada.answer_to(await ada.presses(question, "delete everything"))
    assert (await app.store.job(1)).request.prompt == ""
    assert question.buttons == []


async def test_code_links_two_platforms(ada: TelegramUser, app: TelegramApp) -> None:
    code = await app.store.create_link_code(LinkSide("discord:42", "Ana", "en"))
    await ada.writes(f"/settings link {code}")
    question = await ada.hears("Link with Ana (discord:42)?")
    request = await app.store.pending_link_request("discord:42")
    assert request is not None
    await app.store.answer_link_request("discord:42", request.id, agree=True)
    await ada.answer_to(await ada.presses(question, "Link them"))
    await ada.hears("share credits and history with Ana (discord:42)")
    await ada.writes("/settings link NONSENSE")
    await ada.hears("This code is wrong")
    await ada.writes("/settings unlink")
    await ada.hears("no longer share credits and history")
    await ada.writes("/settings link")
    await ada.hears("Send this on the other platform")
