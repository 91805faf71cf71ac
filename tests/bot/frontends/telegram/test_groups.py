"""Groups: only commands, only ours, in their topic and tongue; admins behind the group's name; slow mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_faults import flood
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import BOT, Chat

GROUP_BOT = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}


def behind(chat: Chat) -> dict[str, Any]:
    """How a message of an admin looks who writes in the name of the group."""
    return {"from": GROUP_BOT, "sender_chat": chat.to_json()}


def origin(someone: Someone) -> dict[str, Any]:
    return {"type": "user", "date": 1, "sender_user": someone.person.to_json()}


async def test_what_is_no_command_of_ours_stays_unanswered(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    group = server.world.group("club")
    bob = Someone(server, "Bob")
    channel = {"id": -1009, "type": "channel", "title": "News"}
    for text, extra in (
        ("a fox in the snow", {}),
        ("/video@other_bot a fox", {}),
        ("/weather", {}),
        ("/vidoe a fox", {}),
        ("/video a fox", {"forward_origin": origin(bob)}),
        ("/video a fox", {"sender_chat": channel, "is_automatic_forward": True}),
        ("/video a fox", {"via_bot": {key: BOT[key] for key in ("id", "is_bot", "first_name", "username")}}),
    ):
        await ada.writes(text, chat=group, extra=extra)
    await ada.writes("/QUEUE@Matinee_Bot", chat=group)
    await ada.hears("Nobody is waiting", chat=group)
    assert len(ada.heard(group)) == 1
    assert await house.store.history(f"telegram:{ada.id}") == []


async def test_admin_behind_the_groups_name_is_served_and_sets_its_defaults(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    group = server.world.group("Film club", admins=(ada.person,))
    await ada.writes("/video a fox", chat=group, extra=behind(group))
    await house.telegram.until_delivered(1)
    assert (await house.studio.job(1)).requester.key == f"telegram:{group.id}"
    assert (await house.studio.job(1)).requester.name == "Film club"
    await ada.writes("/settings", chat=group, extra=behind(group))
    page = await ada.hears("this group", chat=group)
    await ada.answer_to(await ada.presses(page, "9:16"))
    assert await house.studio.settings(f"telegram:{group.id}") == {"aspect": "9:16"}


async def test_group_speaks_the_language_its_admins_chose_and_a_person_their_own(
    server: TelegramServer, ada: Someone, house: Cinema
) -> None:
    bob = Someone(server, "Bob", language="fr")
    group = server.world.group("Verein", admins=(ada.person,))
    await ada.writes("/settings", chat=group)
    page = await ada.hears("this group", chat=group)
    await ada.answer_to(await ada.presses(page, "Deutsch"))
    await bob.writes("/queue@matinee_bot", chat=group)
    await bob.hears(messages.words("queue.empty", "de"), chat=group)
    await bob.writes("/queue")
    await bob.hears(messages.words("queue.empty", "fr"))
    await bob.writes("/settings")
    own = await bob.hears(messages.words("settings", "fr"))
    await bob.answer_to(await bob.presses(own, "日本語"))
    await bob.hears(messages.words("settings", "ja"))
    await bob.writes("/queue@matinee_bot", chat=group)
    await bob.hears(messages.words("queue.empty", "ja"), chat=group)
    await bob.answer_to(await bob.presses(own, "✓"))
    await bob.writes("/queue")
    await server.until(lambda: bob.heard()[-1].text == messages.words("queue.empty", "fr"))
    assert await house.studio.settings(f"telegram:{bob.id}") == {}


async def test_language_survives_a_restart(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    options = Options(token=server.token, api=server.url)
    async with cinema(tmp_path, options) as house:
        await house.studio.change_setting(f"telegram:{ada.id}", "language", "pt")
    async with cinema(tmp_path, options):
        await ada.writes("/queue")
        await ada.hears(messages.words("queue.empty", "pt"))


@pytest.mark.parametrize("lost", ["closed", "deleted"])
async def test_topic_that_is_closed_or_gone_costs_no_clip(
    server: TelegramServer, ada: Someone, house: Cinema, lost: str
) -> None:
    group = server.world.group("club", forum=True, topics=(7,))
    house.engine.gate.clear()
    await ada.writes("/video@matinee_bot a fox", chat=group, thread=7)
    status = await ada.hears("Clip #1", chat=group)
    status.deleted = True
    if lost == "closed":
        group.closed_topics.add(7)
    else:
        group.topics.clear()
    house.engine.gate.set()
    clip = await ada.receives("video", chat=group)
    assert clip.thread is None


async def test_slow_mode_stops_no_clip(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    group = server.world.group("slow club")
    group.slow_mode = 600
    house.engine.gate.clear()
    await ada.writes("/video@matinee_bot a fox", chat=group)
    status = await ada.hears("Clip #1", chat=group)
    house.telegram.late()
    house.engine.gate.set()
    clip = await ada.receives("video", chat=group)
    assert clip is status


async def test_flood_in_one_chat_delays_no_other(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    bob = Someone(server, "Bob")
    house.engine.gate.clear()
    await ada.writes("/video a fox")
    await ada.hears("Clip #1")
    server.fail("editMessageMedia", flood(30))
    house.engine.gate.set()
    await server.until(lambda: server.called("editMessageMedia"))
    await bob.writes("/video a wolf")
    await bob.receives("video")
    assert [message.kind for message in ada.heard()] == ["text"]


async def test_everybody_sees_the_menu_of_what_they_can_use(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    bob = Someone(server, "Bob")
    ours = server.world.group("ours", admins=(ada.person, bob.person))
    theirs = server.world.group("theirs", admins=(bob.person,))
    options = Options(token=server.token, api=server.url, admins=frozenset({ada.id}), stars=2)
    scopes = ['{"type": "default"}', '{"type": "all_group_chats"}', '{"type": "all_chat_administrators"}']
    scopes.append(f'{{"chat_id": {ada.id}, "type": "chat"}}')
    async with cinema(tmp_path, options):
        wanted = {(scope, code) for scope in scopes for code in ("", "de", "es", "fr", "ja", "pt")}
        await server.until(lambda: wanted <= set(server.world.commands))
        for group in (ours, theirs):
            await joins(server, ada, group)
        admins_here = f'{{"chat_id": {ours.id}, "type": "chat_administrators"}}'
        await server.until(lambda: (admins_here, "pt") in server.world.commands)
    menu = {key: [c["command"] for c in commands] for key, commands in server.world.commands.items()}
    assert "admin" not in menu[scopes[0], ""]
    assert {"buy", "paysupport", "start"} <= set(menu[scopes[0], "de"])
    assert not {"buy", "start", "admin"} & set(menu[scopes[1], "de"])
    assert "admin" in menu[scopes[3], "ja"]
    assert "admin" in menu[admins_here, "fr"]
    assert not any(str(theirs.id) in scope for scope, _ in menu)
    of_a_group = {c["command"]: c["description"] for c in server.world.commands[scopes[2], "de"]}
    assert of_a_group["settings"] == messages.words("command.settings.chat", "de")


async def joins(server: TelegramServer, someone: Someone, group: Chat) -> None:
    bot = {key: BOT[key] for key in ("id", "is_bot", "first_name", "username")}
    await server.push(
        my_chat_member={
            "chat": group.to_json(),
            "from": someone.person.to_json(),
            "date": 1,
            "old_chat_member": {"status": "left", "user": bot},
            "new_chat_member": {"status": "member", "user": bot},
        }
    )
