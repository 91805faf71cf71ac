"""Groups: which messages are answered, topics, languages, anonymous admins, slow mode and command menus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.domain.jobs import Requester
from bot.frontends.telegram.frontend import Options
from bot.i18n import messages
from bot.studio.access import Viewer
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_faults import flood_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import BOT, Chat

CHANNEL_BOT = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
OPERATOR = Requester(platform="telegram", user="1", admin=True)
GROUP_BOT = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}


def as_anonymous_admin(chat: Chat) -> dict[str, Any]:
    """The fields of a message that an admin writes anonymously, in the name of the group."""
    return {"from": GROUP_BOT, "sender_chat": chat.to_json()}


def forward_origin_of(someone: TelegramUser) -> dict[str, Any]:
    return {"type": "user", "date": 1, "sender_user": someone.person.to_json()}


async def test_messages_without_a_command_for_the_bot_are_ignored(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("club")
    bob = TelegramUser(server, "Bob")
    channel = {"id": -1009, "type": "channel", "title": "News"}
    for text, extra in (
        ("a fox in the snow", {}),
        ("/video@other_bot a fox", {}),
        ("/weather", {}),
        ("/vidoe a fox", {}),
        ("/video a fox", {"forward_origin": forward_origin_of(bob)}),
        ("/video a fox", {"sender_chat": channel, "is_automatic_forward": True}),
        ("/video a fox", {"via_bot": {key: BOT[key] for key in ("id", "is_bot", "first_name", "username")}}),
    ):
        await ada.writes(text, chat=group, extra=extra)
    await ada.writes("/QUEUE@Matinee_Bot", chat=group)
    await ada.hears("The queue is empty", chat=group)
    assert len(ada.bot_messages(group)) == 1
    assert await app.store.history(f"telegram:{ada.id}") == []


async def test_anonymous_admin_is_served_and_sets_group_defaults(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("Film club", admins=(ada.person,))
    await ada.writes("/video a fox", chat=group, extra=as_anonymous_admin(group))
    await app.telegram.until_delivered(1)
    assert (await app.store.job(1)).requester.key == f"telegram:{group.id}"
    assert (await app.store.job(1)).requester.name == "Film club"
    await ada.writes("/settings", chat=group, extra=as_anonymous_admin(group))
    page = await ada.hears("this group", chat=group)
    await ada.answer_to(await ada.presses(page, "9:16"))
    assert await app.store.settings(f"telegram:{group.id}") == {"aspect": "9:16"}


async def test_users_who_write_as_channels_share_the_groups_allowance(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    """One user may own many channels: each of them must not be a new user with a new allowance."""
    group = server.world.add_group("Film club")
    channels = [{"id": -1009 - n, "type": "channel", "title": f"News {n}"} for n in range(3)]
    options = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, options, credits_=2) as app:
        for channel in channels:
            extra = {"from": CHANNEL_BOT, "sender_chat": channel}
            await ada.writes("/video a fox 2s", chat=group, extra=extra)
        await ada.hears("credits left", chat=group)
        keys = {job.requester.key for job in await app.store.history(f"telegram:{group.id}", 25)}
        assert keys == {f"telegram:{group.id}"}
        for channel in channels:
            assert await app.store.history(f"telegram:{channel['id']}") == []
        await app.studio.administer(f"block telegram:{group.id}", Viewer(requester=OPERATOR))
        await ada.writes("/image x", chat=group, extra={"from": CHANNEL_BOT, "sender_chat": channels[0]})
        await ada.hears("cannot use Matinee", chat=group)


async def test_a_channel_is_no_admin_of_the_group(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("Film club")
    channel = {"id": -1009, "type": "channel", "title": "News"}
    await ada.writes("/settings", chat=group, extra={"from": CHANNEL_BOT, "sender_chat": channel})
    page = await ada.hears("your defaults", chat=group)
    await ada.answer_to(await ada.presses(page, "9:16"))
    assert await app.store.settings(f"telegram:{group.id}") == {}


async def test_language_of_user_takes_precedence_over_the_groups(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    bob = TelegramUser(server, "Bob", language="fr")
    group = server.world.add_group("Verein", admins=(ada.person,))
    await ada.writes("/settings", chat=group)
    page = await ada.hears("this group", chat=group)
    await ada.answer_to(await ada.presses(page, "Deutsch"))
    await bob.writes("/queue@matinee_bot", chat=group)
    await bob.hears(messages.translate("queue.empty", "de"), chat=group)
    await bob.writes("/queue")
    await bob.hears(messages.translate("queue.empty", "fr"))
    await bob.writes("/settings")
    own = await bob.hears(messages.translate("settings", "fr"))
    await bob.answer_to(await bob.presses(own, "日本語"))
    await bob.hears(messages.translate("settings", "ja"))
    await bob.writes("/queue@matinee_bot", chat=group)
    await bob.hears(messages.translate("queue.empty", "ja"), chat=group)
    await bob.answer_to(await bob.presses(own, "✓"))
    await bob.writes("/queue")
    await server.wait_until(lambda: bob.bot_messages()[-1].text == messages.translate("queue.empty", "fr"))
    assert await app.store.settings(f"telegram:{bob.id}") == {}


async def test_language_survives_a_restart(server: TelegramServer, ada: TelegramUser, tmp_path: Path) -> None:
    options = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, options) as app:
        await app.store.change_setting(f"telegram:{ada.id}", "language", "pt")
    async with running_app(tmp_path, options):
        await ada.writes("/queue")
        await ada.hears(messages.translate("queue.empty", "pt"))


@pytest.mark.parametrize("lost", ["closed", "deleted"])
async def test_closed_or_deleted_topic_loses_no_clip(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp, lost: str
) -> None:
    group = server.world.add_group("club", forum=True, topics=(7,))
    app.engine.unblocked.clear()
    await ada.writes("/video@matinee_bot a fox", chat=group, thread=7)
    status = await ada.hears("Clip #1", chat=group)
    status.deleted = True
    if lost == "closed":
        group.closed_topics.add(7)
    else:
        group.topics.clear()
    app.engine.unblocked.set()
    clip = await ada.receives("video", chat=group)
    assert clip.thread is None


async def test_slow_mode_does_not_stop_a_clip(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    group = server.world.add_group("slow club")
    group.slow_mode = 600
    app.engine.unblocked.clear()
    await ada.writes("/video@matinee_bot a fox", chat=group)
    status = await ada.hears("Clip #1", chat=group)
    app.telegram.deliver_as_new_message()
    app.engine.unblocked.set()
    clip = await ada.receives("video", chat=group)
    assert clip is status


async def test_flood_wait_in_one_chat_does_not_delay_others(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    bob = TelegramUser(server, "Bob")
    app.engine.unblocked.clear()
    await ada.writes("/video a fox")
    await ada.hears("Clip #1")
    server.fail_next("editMessageMedia", flood_error(30))
    app.engine.unblocked.set()
    await server.wait_until(lambda: server.calls_of("editMessageMedia"))
    await bob.writes("/video a wolf")
    await bob.receives("video")
    assert [message.kind for message in ada.bot_messages()] == ["text"]


async def test_command_menu_shows_each_audience_its_commands(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    bob = TelegramUser(server, "Bob")
    ours = server.world.add_group("ours", admins=(ada.person, bob.person))
    theirs = server.world.add_group("theirs", admins=(bob.person,))
    options = Options(token=server.token, api_url=server.url, admins=frozenset({ada.id}), stars_per_credit=2)
    scopes = ['{"type": "default"}', '{"type": "all_group_chats"}', '{"type": "all_chat_administrators"}']
    scopes.append(f'{{"chat_id": {ada.id}, "type": "chat"}}')
    async with running_app(tmp_path, options):
        wanted = {(scope, code) for scope in scopes for code in ("", "de", "es", "fr", "ja", "pt")}
        await server.wait_until(lambda: wanted <= set(server.world.commands))
        for group in (ours, theirs):
            await adds_bot(server, ada, group)
        admins_here = f'{{"chat_id": {ours.id}, "type": "chat_administrators"}}'
        await server.wait_until(lambda: (admins_here, "pt") in server.world.commands)
    menu = {key: [c["command"] for c in commands] for key, commands in server.world.commands.items()}
    assert "admin" not in menu[scopes[0], ""]
    assert {"buy", "paysupport", "start"} <= set(menu[scopes[0], "de"])
    assert not {"buy", "start", "admin"} & set(menu[scopes[1], "de"])
    assert "admin" in menu[scopes[3], "ja"]
    assert "admin" in menu[admins_here, "fr"]
    assert not any(str(theirs.id) in scope for scope, _ in menu)
    of_a_group = {c["command"]: c["description"] for c in server.world.commands[scopes[2], "de"]}
    assert of_a_group["settings"] == messages.translate("command.settings.chat", "de")


async def adds_bot(server: TelegramServer, someone: TelegramUser, group: Chat) -> None:
    bot = {key: BOT[key] for key in ("id", "is_bot", "first_name", "username")}
    await server.push_update(
        my_chat_member={
            "chat": group.to_json(),
            "from": someone.person.to_json(),
            "date": 1,
            "old_chat_member": {"status": "left", "user": bot},
            "new_chat_member": {"status": "member", "user": bot},
        }
    )
