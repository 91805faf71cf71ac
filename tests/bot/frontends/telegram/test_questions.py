"""What a wish lacks is asked for once; slips are mended by a tap; sentences and pictures are enough."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.jobs import Requester, State
from tests.fakes.telegram_app import Cinema
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Message
from tests.fakes.wav_samples import wave_file


def picture(kind: str = "JPEG") -> bytes:
    content = BytesIO()
    Image.new("RGB", (40, 30), "orange").save(content, kind)
    return content.getvalue()


async def delivered(house: Cinema, job: int) -> None:
    await house.telegram.until_delivered(job)


async def test_a_bare_command_is_completed_by_the_answer(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video #lofi 2s 9:16")
    question = await ada.hears("What shall I film?")
    assert question.keyboard is not None
    assert question.keyboard["force_reply"] is True
    await ada.writes("a fox in the snow", reply_to=question)
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.prompt, request.music.genre) == ("a fox in the snow", "lofi")
    assert (request.width, request.height, request.seconds) == (64, 128, 2.0)


async def test_a_question_is_understood_in_the_language_it_was_asked_in(
    server: TelegramServer, house: Cinema
) -> None:
    grete = Someone(server, "Grete", language="de-AT")
    await grete.writes("/image")
    question = await grete.hears("Was soll ich malen?")
    await grete.writes("ein Fuchs", reply_to=question)
    await delivered(house, 1)
    assert (await house.studio.job(1)).request.kind == "image"


async def test_a_picture_that_is_missing_may_follow(ada: Someone, house: Cinema) -> None:
    await ada.writes("/animate it wakes up #jazz")
    question = await ada.hears("Which picture")
    await ada.writes("", photo=picture(), reply_to=question)
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.kind, request.prompt, request.music.genre) == ("animate", "it wakes up", "jazz")


async def test_an_answer_to_anything_else_of_ours_is_no_wish(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    group = server.world.group("club")
    await ada.writes("/video@matinee_bot a fox", chat=group)
    clip = await ada.receives("video", chat=group)
    await ada.writes("/recipe", chat=group, reply_to=clip)
    recipe = await ada.hears("/video", chat=group, kind="text")
    for heard in (clip, recipe):
        await ada.writes("nice one", chat=group, reply_to=heard)
    await ada.writes("/queue", chat=group)
    await ada.hears("Nobody is waiting", chat=group)
    assert len(await house.studio.history(await requester(house, 1))) == 1


async def requester(house: Cinema, job: int) -> Requester:
    return (await house.studio.job(job)).requester


async def wall_of(ada: Someone, text: str) -> Message:
    await ada.writes(text)
    return await ada.hears("What you leave open I choose")


async def test_a_sentence_in_private_is_offered_as_a_scene(ada: Someone, house: Cinema) -> None:
    wall = await wall_of(ada, "a fox in the snow")
    for choice in ("jazz", "9:16", "2 s"):
        await ada.answer_to(await ada.presses(wall, choice))
        assert wall.button("✓")
    marked = [button["text"] for button in wall.buttons if "✓" in button["text"]]
    assert len(marked) == 3
    await ada.answer_to(await ada.presses(wall, "film it"))
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.prompt, request.music.genre, request.seconds) == ("a fox in the snow", "jazz", 2.0)
    assert (request.width, request.height) == (64, 128)
    assert [message.kind for message in ada.heard()] == ["video"], "the wall itself became the clip"


async def test_a_choice_pressed_again_is_let_go(ada: Someone, house: Cinema) -> None:
    wall = await wall_of(ada, "a fox in the snow")
    await ada.answer_to(await ada.presses(wall, "9:16"))
    await ada.answer_to(await ada.presses(wall, "1:1"))
    await ada.answer_to(await ada.presses(wall, "✓ 1:1"))
    assert not [button for button in wall.buttons if "✓" in button["text"]]
    await ada.answer_to(await ada.presses(wall, "film it"))
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.width, request.height) == (64, 64)


async def test_the_wall_asks_only_what_the_words_leave_open(ada: Someone, house: Cinema) -> None:
    wall = await wall_of(ada, "a fox #jazz 9:16")
    assert [button["text"] for button in wall.buttons] == ["2 s", "3 s", "5 s", "8 s", "🎬 Film it"]
    assert (await house.studio.waiting()) == []


async def test_one_wall_makes_one_clip_and_only_for_whom_it_was_drawn(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    wall = await wall_of(ada, "a fox in the snow")
    eve = Someone(server, "Eve")
    assert "whoever asked" in (await ada.answer_to(await eve.presses(wall, "film it")))["text"]
    film = wall.button("film it")["callback_data"]
    await ada.answer_to(await ada.sends_back(wall, film))
    await delivered(house, 1)
    await ada.answer_to(await ada.sends_back(wall, film))
    await ada.writes("/queue")
    await ada.hears("Nobody is waiting")
    assert len(await house.studio.history(await requester(house, 1))) == 1


async def test_a_wall_whose_words_were_deleted_says_so(ada: Someone, house: Cinema) -> None:
    wall = await wall_of(ada, "a fox in the snow")
    wall.reply_to = None
    told = await ada.answer_to(await ada.presses(wall, "film it"))
    assert "is gone" in told["text"]
    assert await house.studio.waiting() == []


async def test_who_likes_the_wall_is_always_shown_it(ada: Someone, house: Cinema) -> None:
    await ada.writes("/settings")
    page = await ada.hears("when you do not say")
    await ada.answer_to(await ada.presses(page, "ask me for music"))
    wall = await wall_of(ada, "/video a wolf")
    await ada.answer_to(await ada.presses(wall, "film it"))
    await delivered(house, 1)
    assert (await house.studio.job(1)).request.prompt == "a wolf"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/video a fox #lofy 2s", ("a fox", "lofi")),
        ("/vidoe a fox #jazz", ("a fox", "jazz")),
    ],
)
async def test_a_slip_is_mended_by_one_tap(
    ada: Someone, house: Cinema, typed: str, meant: tuple[str, str]
) -> None:
    await ada.writes(typed)
    slip = await ada.hears("Did you mean")
    await ada.answer_to(await ada.presses(slip, "yes, that"))
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.prompt, request.music.genre) == meant


async def test_a_bare_command_films_what_it_answers(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    group = server.world.group("club")
    bob = Someone(server, "Bob")
    said = await bob.writes("a lighthouse in a storm", chat=group)
    await ada.writes("/video@matinee_bot #jazz", chat=group, reply_to=said)
    await delivered(house, 1)
    assert (await house.studio.job(1)).request.prompt == "a lighthouse in a storm"


@pytest.mark.parametrize("how", ["caption", "answer", "voice"])
async def test_music_that_was_sent_is_the_score_of_a_new_clip_and_of_an_old_one(
    ada: Someone, house: Cinema, how: str
) -> None:
    song = (wave_file(), "song.wav", "audio/wav")
    match how:
        case "caption":
            await ada.writes("/video a fox", document=song)
        case "voice":
            await ada.writes("/video a fox", reply_to=await ada.writes("", voice=wave_file()))
        case "answer":
            await ada.writes("/video a fox", reply_to=await ada.writes("", document=song))
    await delivered(house, 1)
    await ada.writes("/music 1", document=song)
    await delivered(house, 2)
    for number in (1, 2):
        music = (await house.studio.job(number)).request.music
        assert (music.maker, music.genre) == ("track", "own")
        assert music.track is not None
        assert Path(music.track).read_bytes() == wave_file()


async def test_music_that_cannot_be_heard_is_told_and_costs_nothing(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video a fox", document=(b"not music at all", "song.mp3", "audio/mpeg"))
    await ada.hears("cannot be used: it is no sound file")
    assert await house.studio.waiting() == []


@pytest.mark.parametrize("how", ["caption", "file", "sticker", "answer", "video caption"])
async def test_a_picture_moves_however_it_was_sent(ada: Someone, house: Cinema, how: str) -> None:
    match how:
        case "caption":
            await ada.writes("/animate it wakes up", photo=picture())
        case "video caption":
            await ada.writes("/video it wakes up", photo=picture())
        case "file":
            await ada.writes("/animate it wakes up", document=(picture("PNG"), "fox.png", "image/png"))
        case "sticker":
            sticker = await ada.writes("", sticker=picture("WEBP"))
            await ada.writes("/animate it wakes up", reply_to=sticker)
        case "answer":
            photo = await ada.writes("", photo=picture())
            await ada.writes("/animate it wakes up", reply_to=photo)
    await delivered(house, 1)
    request = (await house.studio.job(1)).request
    assert (request.kind, request.prompt) == ("animate", "it wakes up")
    assert request.image is not None
    with Image.open(request.image) as kept:
        assert (kept.format, kept.size) == ("PNG", (40, 30))


async def test_a_picture_alone_is_offered_to_move_and_an_album_once(ada: Someone, house: Cinema) -> None:
    await ada.writes("", photo=picture())
    wall = await ada.hears("comes to life")
    await ada.answer_to(await ada.presses(wall, "film it"))
    await delivered(house, 1)
    await ada.writes("/animate both of us", photo=picture(), album="a1")
    await ada.writes("", photo=picture(), album="a1")
    await delivered(house, 2)
    await ada.writes("/queue")
    await ada.hears("Nobody is waiting")
    assert [message.kind for message in ada.heard()] == ["video", "video", "text"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [((b"GIF89a", "cat.gif", "image/png"), "no readable"), ((b"\x89PNG", "big.png", "image/png"), "larger")],
)
async def test_a_picture_that_cannot_be_used_is_refused_in_a_sentence(
    ada: Someone, house: Cinema, content: tuple[bytes, str, str], reason: str
) -> None:
    data, name, kind = content
    data = data + bytes(11 * 2**20) if reason == "larger" else data
    await ada.writes("/animate", document=(data, name, kind))
    await ada.hears(reason)
    assert await house.studio.waiting() == []


@pytest.mark.usefixtures("house")
async def test_whatever_else_is_sent_in_private_is_answered_with_a_hint(ada: Someone) -> None:
    await ada.writes("", voice=b"hm")
    await ada.hears("Tell me a scene")


async def test_a_very_long_scene_is_refused_with_numbers(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video " + "very " * 800)
    await ada.hears("2000 is the most")
    assert await house.studio.waiting() == []
    assert await house.store.history(f"telegram:{ada.id}") == []


async def test_nobody_is_called_and_nothing_is_linked_by_a_scene(ada: Someone, house: Cinema) -> None:
    await ada.writes("/video @durov opens https://evil.example/x and evil.com <b>now</b> &amp; /cancel it")
    clip = await ada.receives("video")
    assert "@\u2060durov" in clip.text
    assert "<b>now</b> &amp;" in clip.text
    assert {entity["type"] for entity in clip.entities} <= {"bot_command"}
    await ada.writes("/recipe", reply_to=clip)
    recipe = await ada.hears("seed=", kind="text")
    assert {entity["type"] for entity in recipe.entities} == {"code"}
    assert "@durov opens https://evil.example/x" in recipe.text
    await delivered(house, 1)
    assert (await house.studio.job(1)).state is State.DELIVERED
