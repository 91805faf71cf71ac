"""All other commands, autocomplete, and the settings of a server."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from bot.frontends.discord.command_translations import LANGUAGES, translation_table
from generation.clip import Frames
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.media.provenance import with_recipe
from generation.request import Kind
from tests.factories import make_request, make_viewer
from tests.fakes.discord_app import DiscordApp, wait_for_clip_message, wait_until_final
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_users import Person, person, text_of
from tests.fakes.discord_world import Channel, Message
from tests.fakes.wav_samples import wav_bytes

pytestmark = pytest.mark.slow

MANAGE_GUILD = 1 << 5
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAG0lEQVR42u3BgQAAAADDoPlT3+AEVQEAAAB8AxBAAA"
    "G9PLePAAAAAElFTkSuQmCC"
)


@pytest.fixture
def boss(server: DiscordServer, channel: Channel) -> Person:
    return person(server, "Boss", channel, permissions=MANAGE_GUILD)


async def test_every_command_and_option_is_described_and_translated(
    server: DiscordServer, matinee: DiscordApp
) -> None:
    assert matinee.frontend.client.tree.translator is not None
    assert set(server.world.commands) == {
        *(f"1:{name}" for name in ("video", "image", "animate", "music", "queue", "cancel", "history")),
        *(f"1:{name}" for name in ("quota", "settings", "models", "recipe", "help", "privacy", "server")),
        "1:report",
        "1:appeal",
        "1:admin",
        "3:Animate this",
    }
    video = server.world.commands["1:video"]
    assert set(video["description_localizations"]) == set(LANGUAGES)
    for localized in ("description_localizations", "name_localizations"):
        assert all(set(option[localized]) == set(LANGUAGES) for option in video["options"])
    assert "…" not in json.dumps(server.world.commands)


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
def test_every_language_translates_every_command_and_option(language: str) -> None:
    english, other = translation_table("en"), translation_table(language)
    options = {option for entries in english.values() for option in entries} - {"about"}
    assert set(english) - set(other) == set()
    assert all({"name", "about"} <= set(other[command]) for command in english)
    assert options - set(other["options"]) == set()
    assert options - set(other["names"]) == set()


async def test_queue_hides_the_prompts_of_other_servers(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    far = server.world.guild("Far").channel("away")
    await server.gateway.dispatch("GUILD_CREATE", _guild(far), far.guild)
    matinee.engine.unblocked.clear()
    await (await ana.types("/video", prompt="near and open")).says("Generating frames")
    await (await person(server, "Far", far).types("/video", prompt="far and hidden")).says("Clip #2")
    message = await (await ana.types("/queue")).says("#1", "near and open", "Clips of other chats: 1")
    assert "far and hidden" not in text_of(message)
    assert "#2" not in text_of(message)
    assert message.ephemeral
    matinee.engine.unblocked.set()
    await wait_for_clip_message(server, 2)


def _guild(channel: Channel) -> dict[str, object]:
    assert channel.guild is not None
    return channel.guild.payload()


async def test_cancel_suggests_the_jobs_that_can_be_cancelled(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    matinee.engine.unblocked.clear()
    working = await (await ana.types("/video", prompt="a long one")).says("Generating frames")
    offered = await ana.completes("/cancel", focused="clip", clip="long")
    assert [(c["name"], c["value"]) for c in offered] == [("#1 a long one", "1")]
    await (await ana.types("/cancel", clip="1")).says("cancelled")
    await server.world.wait_until(lambda: "cancelled" in text_of(working))
    matinee.engine.unblocked.set()
    assert await wait_until_final(server, matinee, 1) == "cancelled"


async def test_history_links_to_the_clips(server: DiscordServer, matinee: DiscordApp, ana: Person) -> None:
    await ana.types("/video", prompt="remember me")
    sent = await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    await (await ana.types("/history")).says("#1", "done", "remember me", f"/{sent.id})")


async def test_quota_shows_the_credits_left(server: DiscordServer, matinee: DiscordApp, ana: Person) -> None:
    await ana.types("/video", prompt="one credit", seconds=4.0)
    await wait_for_clip_message(server, 1)
    await wait_until_final(server, matinee, 1)
    assert (await (await ana.types("/quota")).says("999", "1000", "clip #1")).ephemeral


async def test_settings_fill_in_options_left_out(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await (await ana.types("/settings", genre="jazz", model="able")).says("jazz", "able")
    await ana.types("/video", prompt="as I like it")
    await wait_for_clip_message(server, 1)
    job = await matinee.store.job(1)
    assert (job.request.music.genre, job.request.model) == ("jazz", "able")
    await (await ana.types("/settings", forget=True)).says("not set")
    wrong = await ana.types("/settings", genre="jaz")
    await wrong.says("Did you mean", "jazz")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("/models", "testcard"),
        ("/help", "/video prompt:"),
        ("/privacy", "prompts and clips"),
        ("/history", "no clips yet"),
        ("/queue", "The queue is empty"),
    ],
)
async def test_info_commands_answer_privately(
    matinee: DiscordApp, ana: Person, command: str, text: str
) -> None:
    assert matinee.frontend.name == "discord"
    assert (await (await ana.types(command)).says(text)).ephemeral


async def test_privacy_exports_all_stored_data(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="what I once said")
    await wait_until_final(server, matinee, 1)
    message = await (await ana.types("/privacy", do="export")).says("Everything that I store")
    exported = json.loads(message.attachments[0].data)
    assert "what I once said" in json.dumps(exported)
    assert message.ephemeral


async def test_privacy_deletes_everything_after_confirmation(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="forget me")
    await wait_until_final(server, matinee, 1)
    asked = await (await ana.types("/privacy", do="delete")).says("cannot be undone")
    await (await ana.clicks(asked, "Delete everything")).says("Deleted: 1 clips")
    await (await ana.types("/history")).says("no clips yet")


async def test_admin_verbs_are_completed_for_admins_only(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person
) -> None:
    await ana.types("/video", prompt="of a person")
    await wait_until_final(server, matinee, 1)
    matinee.frontend.client.handlers.operators = frozenset({int(boss.user.id)})
    offered = await boss.completes("/admin", focused="line", line="quota gr")
    assert [choice["value"] for choice in offered] == ["quota grant"]
    line = f"quota grant {ana.user.id} 5"
    other = person(server, "Other", ana.channel, permissions=MANAGE_GUILD)
    await (await other.types("/admin", line=line)).says("Only an admin")
    await (await boss.types("/admin", line=line)).says("5")
    await (await ana.types("/quota")).says("granted")


@pytest.mark.usefixtures("matinee")
async def test_recipe_is_read_from_a_file_that_contains_it(ana: Person, tmp_path: Path) -> None:
    request = make_request("a kite over the sea", width=64, height=64, frames=4, fps=8.0, seed=99)
    plain = await mux(
        Frames(np.zeros((4, 64, 64, 3), np.uint8), 8.0), None, tmp_path / "a.mp4", ffmpeg=find()
    )
    with_one = await with_recipe(plain, request, tmp_path / "b.mp4", ffmpeg=find())
    await (await ana.types("/recipe", file=ana.attach("b.mp4", with_one.path.read_bytes()))).says("seed: 99")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    still = structs.replace(plain, path=tmp_path / "a.png")
    picture = await with_recipe(still, structs.replace(request, seed=98), tmp_path / "b.png", ffmpeg=find())
    await (await ana.types("/recipe", file=ana.attach("b.png", picture.path.read_bytes()))).says("seed: 98")
    await (await ana.types("/recipe", file=ana.attach("a.mp4", plain.path.read_bytes()))).says(
        "contains no recipe"
    )


async def test_only_the_owner_sees_the_recipe_of_a_private_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    await ana.types("/video", prompt="mine alone", private=True)
    await wait_until_final(server, matinee, 1)
    await (await ana.types("/recipe", clip="1")).says("mine alone")
    elsewhere = server.world.guild("Other").channel("chat")
    for place in (elsewhere, channel):
        eve = person(server, "Eve", place)
        for command in ("/recipe", "/music", "/report"):
            await (await eve.types(command, clip="#1")).says("There is no clip #1")
        await (await eve.types("/recipe", clip="#99")).says("There is no clip #99")
    assert [job.id for job in await matinee.store.history(ana_key(ana), 10)] == [1]


def ana_key(user: Person) -> str:
    return f"discord:{user.user.id}"


async def test_a_channel_that_a_member_cannot_see_keeps_its_clips(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    guild = channel.guild
    assert guild is not None
    secret = guild.channel("secret", hidden=True)
    opened = guild.channel("open")
    for place in (secret, opened):
        await server.gateway.dispatch("CHANNEL_CREATE", place.payload(), guild)
    insider = Person(server, ana.user, secret)
    await insider.types("/video", prompt="a plan for insiders")
    await wait_until_final(server, matinee, 1)
    await Person(server, ana.user, opened).types("/video", prompt="a plan for everybody")
    await wait_until_final(server, matinee, 2)
    matinee.engine.unblocked.clear()
    await (await insider.types("/video", prompt="a second plan")).says("Generating frames")
    eve = person(server, "Eve", channel)
    for command in ("/recipe", "/music", "/report"):
        await (await eve.types(command, clip="1")).says("There is no clip #1")
    queue = text_of(await (await eve.types("/queue")).says("Clips of other chats: 1"))
    assert "#3" not in queue
    await (await eve.types("/recipe", clip="2")).says("a plan for everybody")
    matinee.engine.unblocked.set()
    await wait_until_final(server, matinee, 3)
    assert len(await matinee.store.history(ana_key(ana), 10)) == 3


async def test_music_replaces_the_music_of_a_chosen_clip(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="needs a tune")
    await wait_until_final(server, matinee, 1)
    offered = await ana.completes("/music", focused="clip", clip="tune")
    await ana.types(
        "/music", clip=offered[0]["value"], genre="ambient", mood="calm", tempo="70", instruments="piano"
    )
    await wait_for_clip_message(server, 2)
    music = (await matinee.store.job(2)).request.music
    assert (music.genre, music.mood, music.bpm, music.instruments) == ("ambient", "calm", 70.0, ("piano",))


async def test_animate_accepts_an_attached_picture(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    picture = ana.attach("photo.PNG", PNG)
    await ana.types("/animate", image=picture, prompt="it moves", model="able")
    await wait_for_clip_message(server, 1)
    request = (await matinee.store.job(1)).request
    assert request.kind is Kind.ANIMATE
    assert request.image is not None
    assert request.image.endswith(".png")


async def test_a_blocked_user_leaves_no_file(matinee: DiscordApp, ana: Person, tmp_path: Path) -> None:
    await matinee.store.run_admin(
        lambda c: c.block(f"discord:{ana.user.id}", until=None, reason="rude"), read_only=False
    )
    for refused in (
        await ana.types("/animate", image=ana.attach("photo.png", PNG), prompt="it moves", model="able"),
        await ana.types("/video", prompt="a fox", track=ana.attach("song.wav", wav_bytes())),
        await ana.types("/recipe", file=ana.attach("photo.png", PNG)),
    ):
        await refused.says("cannot use Matinee")
    data = tmp_path / "data"
    assert not [path for name in ("inbox", "uploads") for path in (data / name).rglob("*")]


async def test_an_uploaded_track_is_used_for_new_and_old_clips(
    server: DiscordServer, matinee: DiscordApp, ana: Person
) -> None:
    await ana.types("/video", prompt="a fox", track=ana.attach("song.wav", wav_bytes()))
    await wait_for_clip_message(server, 1)
    await ana.types("/music", clip="1", track=ana.attach("other.wav", wav_bytes()))
    await wait_for_clip_message(server, 2)
    for number in (1, 2):
        music = (await matinee.store.job(number)).request.music
        assert music.maker == "track"
        assert music.track is not None
        assert Path(music.track).read_bytes() == wav_bytes()
    refused = await ana.types("/video", prompt="a fox", track=ana.attach("song.wav", b"no sound at all"))
    await refused.says("song.wav", "cannot be used")
    assert await matinee.store.waiting(1) == []


async def test_animate_this_uses_the_picture_of_a_message(
    server: DiscordServer, matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    await (await ana.types("/settings", model="able")).says("able")
    photo = ana.attach("cat.jpg", PNG)
    server.world.files[photo.path] = photo
    post = server.world.post(Message(channel, ana.user, "my cat", attachments=[photo]))
    await ana.uses_menu("Animate this", post)
    assert "my cat" in text_of(await wait_for_clip_message(server, 1))
    assert (await matinee.store.job(1)).request.kind is Kind.ANIMATE


@pytest.mark.parametrize(("filename", "data"), [("song.exe", PNG), ("huge.png", bytes(11 * 1024 * 1024))])
async def test_an_unusable_attachment_is_refused(
    matinee: DiscordApp, ana: Person, filename: str, data: bytes
) -> None:
    reply = await ana.types("/animate", image=ana.attach(filename, data), prompt="no")
    await reply.says(filename, "cannot be used")
    assert await matinee.store.waiting(1) == []


async def test_options_are_autocompleted(matinee: DiscordApp, ana: Person) -> None:
    assert matinee.frontend.name == "discord"
    for option, typed, expected in (
        ("genre", "ja", "jazz"),
        ("style", "ani", "Anime"),
        ("camera", "zoom", "zoom-in"),
        ("model", "able", "able"),
        ("tempo", "92", "92"),
        ("instruments", "piano, flu", "piano, flute"),
    ):
        offered = await ana.completes("/video", focused=option, prompt="x", **{option: typed})
        assert expected in [choice["value"] for choice in offered], option
        assert len(offered) <= 25


async def test_a_server_chooses_the_channels_that_are_served(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person, channel: Channel
) -> None:
    assert channel.guild is not None
    stage = channel.guild.channel("stage")
    await server.gateway.dispatch("CHANNEL_CREATE", stage.payload(), channel.guild)
    await (await boss.types("/server channel", place=stage)).says(f"<#{stage.id}>")
    refused = await ana.types("/video", prompt="not here")
    assert (await refused.says("Here I answer only in", "stage")).ephemeral
    await Person(server, ana.user, stage).types("/video", prompt="but here")
    assert (await wait_for_clip_message(server, 1)).channel is stage
    assert matinee.engine.rendered == ["1.1"]


async def test_a_channel_that_a_member_cannot_see_is_not_named_to_them(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person, channel: Channel
) -> None:
    assert channel.guild is not None
    secret = channel.guild.channel("secret-plans", hidden=True)
    await server.gateway.dispatch("CHANNEL_CREATE", secret.payload(), channel.guild)
    await (await boss.types("/server channel", place=secret)).says(f"<#{secret.id}>")
    refused = text_of(await (await ana.types("/video", prompt="not here")).says("Try another chat"))
    assert "secret" not in refused
    assert await matinee.store.waiting(1) == []


async def test_a_private_answer_gets_around_no_list_of_channels(
    matinee: DiscordApp, ana: Person, channel: Channel
) -> None:
    operator = make_viewer("1", platform="discord", admin=True)
    await matinee.studio.administer("channel allow discord:7", operator)
    for private in (False, True):
        refused = await ana.types("/video", prompt="not here", private=private)
        assert (await refused.says("Try another chat")).ephemeral
    await matinee.studio.administer(f"channel allow discord:{channel.id}", operator)
    await (await ana.types("/video", prompt="here", private=True)).says("Clip #1")


async def test_a_server_has_defaults_and_may_hide_prompts(
    server: DiscordServer, matinee: DiscordApp, ana: Person, boss: Person
) -> None:
    await (await boss.types("/server defaults", genre="rock", model="able")).says("rock", "able")
    await (await boss.types("/server prompts", who="asker")).says("only the requester")
    await ana.types("/video", prompt="a secret idea")
    message = await wait_for_clip_message(server, 1)
    job = await matinee.store.job(1)
    assert (job.request.music.genre, job.request.model) == ("rock", "able")
    assert "a secret idea" not in text_of(message)
    eve = person(server, "Eve", ana.channel)
    await (await eve.clicks(message, "Recipe")).says("another user")
    await (await ana.clicks(message, "Recipe")).says("a secret idea")


async def test_the_presence_shows_the_queue(server: DiscordServer, matinee: DiscordApp) -> None:
    assert matinee.frontend.name == "discord"
    shown = await server.world.wait_until(lambda: server.world.presence)
    assert shown["activities"][0]["state"] == "ready for a prompt"
