"""Incomplete commands: questions for missing parts, the option menu, corrections, pictures and audio."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.errors import NotYourButtons
from bot.domain.jobs import JobState, Requester
from bot.i18n import messages
from tests.fakes.telegram_app import TelegramApp
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Message
from tests.fakes.wav_samples import wav_bytes


def picture_bytes(kind: str = "JPEG") -> bytes:
    content = BytesIO()
    Image.new("RGB", (40, 30), "orange").save(content, kind)
    return content.getvalue()


async def until_delivered(app: TelegramApp, job: int) -> None:
    await app.telegram.until_delivered(job)


async def test_answer_to_the_question_completes_the_command(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video #lofi 2s 9:16")
    question = await ada.hears("What should the clip show?")
    assert question.keyboard is not None
    assert question.keyboard["force_reply"] is True
    await ada.writes("a fox in the snow", reply_to=question)
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.prompt, request.music.genre) == ("a fox in the snow", "lofi")
    assert (request.width, request.height, request.seconds) == (64, 128, 2.0)


async def test_answer_to_a_question_in_another_language_is_recognized(
    server: TelegramServer, app: TelegramApp
) -> None:
    grete = TelegramUser(server, "Grete", language="de-AT")
    await grete.writes("/image")
    question = await grete.hears("Was soll das Bild zeigen?")
    await grete.writes("ein Fuchs", reply_to=question)
    await until_delivered(app, 1)
    assert (await app.store.job(1)).request.kind == "image"


async def test_missing_picture_may_be_sent_as_the_answer(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/animate it wakes up #jazz")
    question = await ada.hears("Which picture")
    await ada.writes("", photo=picture_bytes(), reply_to=question)
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.kind, request.prompt, request.music.genre) == ("animate", "it wakes up", "jazz")


async def test_reply_to_another_bot_message_is_not_a_wish(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("club")
    await ada.writes("/video@matinee_bot a fox", chat=group)
    clip = await ada.receives("video", chat=group)
    await ada.writes("/recipe", chat=group, reply_to=clip)
    recipe = await ada.hears("/video", chat=group, kind="text")
    for message in (clip, recipe):
        await ada.writes("nice one", chat=group, reply_to=message)
    await ada.writes("/queue", chat=group)
    await ada.hears("The queue is empty", chat=group)
    assert len(await app.store.history((await requester_of(app, 1)).key, 10)) == 1


async def requester_of(app: TelegramApp, job: int) -> Requester:
    return (await app.store.job(job)).requester


async def option_menu_for(ada: TelegramUser, text: str) -> Message:
    await ada.writes(text)
    return await ada.hears("I choose whatever you leave open")


async def test_private_sentence_opens_the_option_menu(ada: TelegramUser, app: TelegramApp) -> None:
    menu = await option_menu_for(ada, "a fox in the snow")
    for choice in ("jazz", "9:16", "2 s"):
        await ada.answer_to(await ada.presses(menu, choice))
        assert menu.button("✓")
    marked = [button["text"] for button in menu.buttons if "✓" in button["text"]]
    assert len(marked) == 3
    await ada.answer_to(await ada.presses(menu, "make it"))
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.prompt, request.music.genre, request.seconds) == ("a fox in the snow", "jazz", 2.0)
    assert (request.width, request.height) == (64, 128)
    assert [message.kind for message in ada.bot_messages()] == ["video"], "the menu is edited into the clip"


async def test_pressing_a_choice_again_clears_it(ada: TelegramUser, app: TelegramApp) -> None:
    menu = await option_menu_for(ada, "a fox in the snow")
    await ada.answer_to(await ada.presses(menu, "9:16"))
    await ada.answer_to(await ada.presses(menu, "1:1"))
    await ada.answer_to(await ada.presses(menu, "✓ 1:1"))
    assert not [button for button in menu.buttons if "✓" in button["text"]]
    await ada.answer_to(await ada.presses(menu, "make it"))
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.width, request.height) == (64, 64)


async def test_option_menu_asks_only_for_missing_options(ada: TelegramUser, app: TelegramApp) -> None:
    menu = await option_menu_for(ada, "a fox #jazz 9:16")
    assert [button["text"] for button in menu.buttons] == ["2 s", "3 s", "5 s", "8 s", "🎬 Make it"]
    assert (await app.store.waiting(1)) == []


async def test_option_menu_makes_one_clip_and_only_for_its_owner(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    menu = await option_menu_for(ada, "a fox in the snow")
    eve = TelegramUser(server, "Eve")
    refusal = await ada.answer_to(await eve.presses(menu, "make it"))
    assert refusal["text"] == messages.explain(NotYourButtons())
    start = menu.button("make it")["callback_data"]
    await ada.answer_to(await ada.sends_callback(menu, start))
    await until_delivered(app, 1)
    await ada.answer_to(await ada.sends_callback(menu, start))
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert len(await app.store.history((await requester_of(app, 1)).key, 10)) == 1


async def test_option_menu_of_a_deleted_message_is_refused(ada: TelegramUser, app: TelegramApp) -> None:
    menu = await option_menu_for(ada, "a fox in the snow")
    menu.reply_to = None
    answer = await ada.answer_to(await ada.presses(menu, "make it"))
    assert "was deleted" in answer["text"]
    assert await app.store.waiting(1) == []


async def test_ask_preference_always_shows_the_option_menu(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/settings")
    page = await ada.hears("Choose your defaults")
    await ada.answer_to(await ada.presses(page, "ask me for music"))
    menu = await option_menu_for(ada, "/video a wolf")
    await ada.answer_to(await ada.presses(menu, "make it"))
    await until_delivered(app, 1)
    assert (await app.store.job(1)).request.prompt == "a wolf"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/video a fox #lofy 2s", ("a fox", "lofi")),
        ("/vidoe a fox #jazz", ("a fox", "jazz")),
    ],
)
async def test_typo_is_corrected_by_one_tap(
    ada: TelegramUser, app: TelegramApp, typed: str, meant: tuple[str, str]
) -> None:
    await ada.writes(typed)
    suggestion = await ada.hears("Did you mean")
    await ada.answer_to(await ada.presses(suggestion, "yes, that"))
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.prompt, request.music.genre) == meant


async def test_bare_command_uses_the_replied_text_as_prompt(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("club")
    bob = TelegramUser(server, "Bob")
    message = await bob.writes("a lighthouse in a storm", chat=group)
    await ada.writes("/video@matinee_bot #jazz", chat=group, reply_to=message)
    await until_delivered(app, 1)
    assert (await app.store.job(1)).request.prompt == "a lighthouse in a storm"


@pytest.mark.parametrize("how", ["caption", "answer", "voice"])
async def test_sent_audio_becomes_the_music_of_new_and_old_clips(
    ada: TelegramUser, app: TelegramApp, how: str
) -> None:
    song = (wav_bytes(), "song.wav", "audio/wav")
    match how:
        case "caption":
            await ada.writes("/video a fox", document=song)
        case "voice":
            await ada.writes("/video a fox", reply_to=await ada.writes("", voice=wav_bytes()))
        case "answer":
            await ada.writes("/video a fox", reply_to=await ada.writes("", document=song))
    await until_delivered(app, 1)
    await ada.writes("/music 1", document=song)
    await until_delivered(app, 2)
    for number in (1, 2):
        music = (await app.store.job(number)).request.music
        assert (music.maker, music.genre) == ("track", "own")
        assert music.track is not None
        assert Path(music.track).read_bytes() == wav_bytes()


async def test_unreadable_audio_is_refused_and_costs_nothing(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video a fox", document=(b"not music at all", "song.mp3", "audio/mpeg"))
    await ada.hears("cannot be used: it is not a sound file")
    assert await app.store.waiting(1) == []


@pytest.mark.parametrize("how", ["caption", "file", "sticker", "answer", "video caption"])
async def test_picture_is_animated_however_it_was_sent(ada: TelegramUser, app: TelegramApp, how: str) -> None:
    match how:
        case "caption":
            await ada.writes("/animate it wakes up", photo=picture_bytes())
        case "video caption":
            await ada.writes("/video it wakes up", photo=picture_bytes())
        case "file":
            await ada.writes("/animate it wakes up", document=(picture_bytes("PNG"), "fox.png", "image/png"))
        case "sticker":
            sticker = await ada.writes("", sticker=picture_bytes("WEBP"))
            await ada.writes("/animate it wakes up", reply_to=sticker)
        case "answer":
            photo = await ada.writes("", photo=picture_bytes())
            await ada.writes("/animate it wakes up", reply_to=photo)
    await until_delivered(app, 1)
    request = (await app.store.job(1)).request
    assert (request.kind, request.prompt) == ("animate", "it wakes up")
    assert request.image is not None
    with Image.open(request.image) as kept:
        assert (kept.format, kept.size) == ("PNG", (40, 30))


async def test_picture_alone_is_offered_for_animation_and_an_album_once(
    ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes("", photo=picture_bytes())
    menu = await ada.hears("comes to life")
    await ada.answer_to(await ada.presses(menu, "make it"))
    await until_delivered(app, 1)
    await ada.writes("/animate both of us", photo=picture_bytes(), album="a1")
    await ada.writes("", photo=picture_bytes(), album="a1")
    await until_delivered(app, 2)
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert [message.kind for message in ada.bot_messages()] == ["video", "video", "text"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ((b"GIF89a", "cat.gif", "image/png"), "not a readable"),
        ((b"\x89PNG", "big.png", "image/png"), "larger"),
    ],
)
async def test_unusable_picture_is_refused_with_the_reason(
    ada: TelegramUser, app: TelegramApp, content: tuple[bytes, str, str], reason: str
) -> None:
    data, name, kind = content
    data = data + bytes(11 * 2**20) if reason == "larger" else data
    await ada.writes("/animate", document=(data, name, kind))
    await ada.hears(reason)
    assert await app.store.waiting(1) == []


@pytest.mark.usefixtures("app")
async def test_other_private_messages_are_answered_with_a_hint(ada: TelegramUser) -> None:
    await ada.writes("", voice=b"hm")
    await ada.hears("Describe a scene")


async def test_too_long_prompt_is_refused_with_the_limit(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video " + "very " * 800)
    await ada.hears("limit is 2000")
    assert await app.store.waiting(1) == []
    assert await app.store.history(f"telegram:{ada.id}") == []


async def test_prompt_creates_no_mentions_and_no_links(ada: TelegramUser, app: TelegramApp) -> None:
    await ada.writes("/video @durov opens https://evil.example/x and evil.com <b>now</b> &amp; /cancel it")
    clip = await ada.receives("video")
    assert "@\u2060durov" in clip.text
    assert "<b>now</b> &amp;" in clip.text
    assert {entity["type"] for entity in clip.entities} <= {"bot_command"}
    await ada.writes("/recipe", reply_to=clip)
    recipe = await ada.hears("seed=", kind="text")
    assert {entity["type"] for entity in recipe.entities} == {"code"}
    assert "@durov opens https://evil.example/x" in recipe.text
    await until_delivered(app, 1)
    assert (await app.store.job(1)).state is JobState.DELIVERED
