"""The buttons under a clip: what each does, who may press it, and that a double tap counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.errors import NotYourButtons
from bot.domain.jobs import JobState
from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_faults import api_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Chat, Message


async def make_clip(
    someone: TelegramUser, app: TelegramApp, text: str, *, chat: Chat | None = None
) -> Message:
    before = len(await app.store.history(f"telegram:{someone.id}", 100))
    await someone.writes(text, chat=chat)
    clip = await someone.receives("video", chat=chat)
    await app.telegram.until_delivered(before + 1)
    return clip


async def test_clip_has_a_caption_with_facts_and_every_button(ada: TelegramUser, app: TelegramApp) -> None:
    clip = await make_clip(ada, app, "/video a fox in the snow #lofi seed=7")
    assert clip.text.splitlines()[0] == "Clip #1: a fox in the snow"
    assert all(fact in clip.text for fact in ("64", "tiny", "lofi", "seed 7"))
    verbs = {button["callback_data"].partition(":")[0] for button in clip.buttons}
    assert verbs >= {"reroll", "score", "edit", "recipe", "delete", "report"}


async def test_prompt_is_edited_by_answering(ada: TelegramUser, app: TelegramApp) -> None:
    clip = await make_clip(ada, app, "/video a fox in the snow #lofi 2s seed=7")
    await ada.answer_to(await ada.presses(clip, "edit prompt"))
    question = await ada.hears("the new prompt")
    assert question.text.endswith("a fox in the snow")
    await ada.writes("a fox in the rain", reply_to=question)
    await app.telegram.until_delivered(2)
    first, second = (await app.store.job(1)).request, (await app.store.job(2)).request
    assert second.prompt == "a fox in the rain"
    assert (second.seed, second.frames, second.music.genre) == (7, first.frames, "lofi")
    assert (await app.store.job(2)).parent == 1


async def test_recipe_and_report_buttons_answer(ada: TelegramUser, app: TelegramApp) -> None:
    clip = await make_clip(ada, app, "/video a fox seed=7")
    await ada.answer_to(await ada.presses(clip, "recipe"))
    await ada.hears("seed=7", kind="text")
    reported = await ada.answer_to(await ada.presses(clip, "report"))
    assert reported["text"] == messages.translate("reported", job=1)
    await ada.writes("/report", reply_to=clip)
    await ada.hears(messages.translate("reported.before"))


async def test_admins_are_notified_of_reports_and_appeals(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    boss = TelegramUser(server, "Boss")
    options = Options(token=server.token, api_url=server.url, admins=frozenset({boss.id}))
    async with running_app(tmp_path, options) as app:
        clip = await make_clip(ada, app, "/video a fox")
        await ada.writes("/report not what I asked for", reply_to=clip)
        await ada.hears("The admins will look")
        await boss.hears("not what I asked for")
        await ada.writes("/video a forbidden thing")
        refused = await ada.hears("cannot make that")
        await ada.answer_to(await ada.presses(refused, "ask an admin"))
        appeal = await boss.hears("asks you to review")
        eve = TelegramUser(server, "Eve")
        answer = await eve.answer_to(await eve.presses(appeal, "accept it"))
        assert "Only an admin" in answer["text"]
        await boss.answer_to(await boss.presses(appeal, "accept it"))
        await boss.hears("is accepted")
        assert appeal.buttons == []


async def test_message_is_deleted_by_its_owner_and_by_group_admins(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    bob, eve = TelegramUser(server, "Bob"), TelegramUser(server, "Eve")
    group = server.world.add_group("club", admins=(bob.person,))
    first = await make_clip(ada, app, "/video@matinee_bot a fox", chat=group)
    answer = await eve.answer_to(await eve.presses(first, "delete"))
    assert "another user" in answer["text"]
    await bob.answer_to(await bob.presses(first, "delete"))
    assert first.deleted
    second = await make_clip(ada, app, "/video@matinee_bot a wolf", chat=group)
    await ada.answer_to(await ada.presses(second, "delete"))
    assert second.deleted


async def test_a_forged_button_deletes_no_message_of_another_user(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group, eve = server.world.add_group("club"), TelegramUser(server, "Eve")
    clip = await make_clip(ada, app, "/video@matinee_bot a fox", chat=group)
    own = await make_clip(eve, app, "/video a wolf")
    answer = await eve.answer_to(await eve.sends_callback(clip, "delete:2"))
    assert "There is no clip #2" in answer["text"]
    assert not clip.deleted
    await eve.answer_to(await eve.presses(own, "delete"))
    assert own.deleted


async def test_the_queue_of_a_group_shows_no_clips_of_other_chats(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    app.engine.unblocked.clear()
    await ada.writes("/video a secret fox")
    await ada.hears("Clip #1")
    group, eve = server.world.add_group("club"), TelegramUser(server, "Eve")
    await eve.writes("/queue", chat=group)
    queue = await eve.hears("Clips of other chats: 1", chat=group)
    assert "#1" not in queue.text
    await ada.writes("/queue")
    assert "a secret fox" in (await ada.hears("The queue")).text
    app.engine.unblocked.set()


async def test_double_tap_makes_one_clip(ada: TelegramUser, app: TelegramApp) -> None:
    clip = await make_clip(ada, app, "/video a fox")
    queries = [await ada.presses(clip, "re-roll") for _ in range(3)]
    for query in queries:
        await ada.answer_to(query)
    await app.telegram.until_delivered(2)
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert [job.id for job in await app.store.history(f"telegram:{ada.id}")] == [2, 1]


async def test_repeated_callback_update_makes_one_clip(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    clip = await make_clip(ada, app, "/video a fox")
    press = {
        "id": "777",
        "from": ada.person.to_json(),
        "message": clip.to_json(),
        "chat_instance": "1",
        "data": "reroll:1",
    }
    server.world.queries.add("777")
    await server.push_update(callback_query=press)
    await app.telegram.until_delivered(2)
    await server.push_update(callback_query=press)
    await ada.writes("/history")
    history = await ada.hears("Your clips")
    assert history.text.count("#") == 2


async def test_group_member_may_reroll_but_not_cancel_another_users_clip(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group, bob = server.world.add_group("club"), TelegramUser(server, "Bob")
    clip = await make_clip(ada, app, "/video@matinee_bot a fox", chat=group)
    await bob.answer_to(await bob.presses(clip, "re-roll"))
    await app.telegram.until_delivered(2)
    assert (await app.store.job(2)).requester.key == f"telegram:{bob.id}"
    app.engine.unblocked.clear()
    await ada.writes("/video@matinee_bot a wolf", chat=group)
    status = await ada.hears("Clip #3", chat=group)
    answer = await bob.answer_to(await bob.presses(status, "cancel"))
    assert "another user" in answer["text"]
    assert not (await app.store.job(3)).state.is_final


@pytest.mark.parametrize("press", ["reroll:1", "score:1:jazz", "recipe:1", "edit:1", "report:1", "delete:1"])
async def test_private_clip_cannot_be_reached_by_its_number(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp, press: str
) -> None:
    await make_clip(ada, app, "/video a secret fox")
    eve = TelegramUser(server, "Eve")
    page = await make_clip(eve, app, "/video a wolf")
    answer = await eve.answer_to(await eve.sends_callback(page, press))
    assert "There is no clip #1" in answer["text"]
    for command in ("/recipe 1", "/music 1 jazz", "/cancel 1", "/report 1"):
        await eve.writes(command)
    refusal = "There is no clip #1"
    await server.wait_until(lambda: len([m for m in eve.bot_messages() if refusal in m.text]) == 4)
    assert "secret" not in str([message.to_json() for message in eve.bot_messages()])
    assert (await app.store.job(1)).state is JobState.DELIVERED


async def test_settings_page_works_only_for_its_owner(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group, bob = server.world.add_group("club"), TelegramUser(server, "Bob")
    await ada.writes("/settings", chat=group)
    page = await ada.hears("Choose your defaults", chat=group)
    refusal = await bob.answer_to(await bob.presses(page, "9:16"))
    assert refusal["text"] == messages.explain(NotYourButtons())
    await ada.answer_to(await ada.presses(page, "9:16"))
    assert (await app.store.settings(f"telegram:{ada.id}")) == {"aspect": "9:16"}
    assert (await app.store.settings(f"telegram:{bob.id}")) == {}


async def test_cancel_asks_which_clip_when_several_wait(ada: TelegramUser, app: TelegramApp) -> None:
    app.engine.unblocked.clear()
    for number in (1, 2, 3):
        await ada.writes("/video a fox")
        await ada.hears(f"Clip #{number}")
    await ada.writes("/cancel")
    choice = await ada.hears("Which clip")
    await ada.answer_to(await ada.presses(choice, "#2"))
    await ada.hears("#2 is cancelled")
    states = [(await app.store.job(number)).state for number in (1, 2, 3)]
    assert states.count(JobState.CANCELLED) == 1
    assert states[1] is JobState.CANCELLED
    await ada.writes("/cancel", reply_to=next(m for m in ada.bot_messages() if m.text.startswith("Clip #3")))
    await ada.hears("#3 is cancelled")


async def test_start_shows_a_clip_and_uploads_it_once(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await ada.writes("/start")
    hello = await ada.receives("video")
    assert "Hello Ada" in hello.text
    assert len(hello.buttons) == 2
    assert server.world.files[hello.file_id][4:8] == b"ftyp"
    bob = TelegramUser(server, "Bob", language="es")
    await bob.writes("/start")
    again = await bob.receives("video")
    assert again.file_id == hello.file_id
    assert messages.translate("welcome", "es", name="Bob") == again.text
    await ada.answer_to(await ada.presses(hello, "fox in the snow"))
    await app.telegram.until_delivered(1)
    await bob.answer_to(await bob.presses(again, "❓"))
    await bob.hears(messages.translate("help.title", "es"))


async def test_start_falls_back_to_text_where_videos_are_forbidden(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    server.fail_next("sendVideo", api_error(400, "Bad Request: not enough rights to send videos to the chat"))
    await ada.writes("/start")
    await ada.hears("Hello Ada", kind="text")
    assert app.telegram.ready.is_set()
