"""Who may do what with whose job: each verb of the studio, each kind of viewer, each kind of job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bot.admin.verbs import VERBS as ADMIN_VERBS
from bot.domain.errors import (
    AlreadyLinked,
    Blocked,
    InvalidLinkCode,
    NoSuchJob,
    NoSuchPayment,
    NotAllowed,
    NothingToAppeal,
    NotInThatChat,
    NotLinked,
    NotYourJob,
    PrivateChatOnly,
)
from bot.domain.jobs import Action, Job, JobState, ReplyTo, Requester
from bot.domain.quota import Tier
from bot.i18n import messages
from bot.store.store import Payment, Store
from bot.studio.access import Viewer
from bot.studio.studio import Studio, Submission
from generation.errors import AttachmentRefused, PictureFailed
from generation.progress import PREVIEW_FILE
from generation.request import Kind, MusicWish
from tests import factories
from tests.bot.app_harness import open_studio
from tests.factories import link_users, make_requester, make_viewer, make_wish, write_clip
from tests.fakes import hostile_files

PROMPT, TOKEN, STAGE, LOBBY = "a fox that nobody else may know", "interaction-token-of-the-owner", "10", "11"
SERVER, SERVER_SETTINGS, ROLE = "discord:7", "server:discord:7", "discord:1"
OWN_SETTINGS = {"genre": "lofi"}
BOSS = make_viewer("boss", platform="discord", admin=True)
TIER_NAMES = (Tier(name="closed"), Tier(name="open", open=True))
PICTURE = hostile_files.png(8, 8)

VIEWERS = (
    "owner",
    "linked",  # another platform, the same account
    "operator",
    "same channel",
    "sees channel",  # the same server, and Discord lets them see the channel
    "moderator",  # may delete the messages of others, in the same channel
    "server admin",  # may manage the server but not messages, in the same channel
    "blocked",  # in the same channel
    "no view",  # the same server, but they cannot see the channel
    "other server",
    "other platform",  # in a chat with the same number
)
KINDS = ("public", "private", "hidden")
"""`hidden` is a public job in a server whose admins show prompts to the requester only."""

# What a viewer gets: "own" is the job as its owner sees it, "view" has the prompt but nothing that is private
# to the owner or the delivery, "bare" is without the prompt too; no cell has a token or a path. "done" and
# "made" are successes that show no job of another user. "none" is the answer for something unknown, "other"
# that the job belongs to another user, "denied" that only an admin may do it.
SEE = {
    "public": "own own view view view view view view none none none",
    "private": "own own view none none none none none none none none",
    "hidden": "own own view bare bare bare bare bare none none none",
}
READ = SEE | {"hidden": "own own view other other other other other none none none"}
CHANGE = {
    "public": "own own view other other other other other none none none",
    "private": "own own view none none none none none none none none",
    "hidden": "own own view other other other other other none none none",
}
FILE = {
    "public": "path path path other other other other other none none none",
    "private": "path path path none none none none none none none none",
    "hidden": "path path path other other other other other none none none",
}
"""The preview of a running job, which its own status message shows."""
MAKE = {
    "public": "made made made made made made made blocked none none none",
    "private": "made made made none none none none none none none none",
    "hidden": "made made made other other other other other none none none",
}
DELETE = {
    "public": "done done done other other done other other none none none",
    "private": "done done done none none none none none none none none",
    "hidden": "done done done other other done other other none none none",
}
FACT = {
    "public": "done done done done done done done done none none none",
    "private": "done done done none none none none none none none none",
    "hidden": "done done done done done done done done none none none",
}


def for_every_kind(cells: str) -> dict[str, str]:
    """The row of a verb for which it makes no difference of which kind the owner's job is."""
    return dict.fromkeys(KINDS, cells)


HISTORY = for_every_kind("own own none none none none none none none none none")
NEW_JOB = for_every_kind("made made made made made made made blocked made made made")
ATTACH = for_every_kind("done done done done done done done blocked done done done")
"""An upload of the viewer's own, in their own chat."""
OPERATORS = for_every_kind("denied denied done denied denied denied denied denied denied denied denied")
SERVER_ADMINS = for_every_kind("denied denied done denied denied denied done denied denied denied denied")
"""The settings of the server that the viewer is in, and the tiers of its roles."""
ACCOUNT = for_every_kind("account account none none none none none none none none none")
"""Whether the account of the job's owner is shown or changed: the verb is about the viewer's own account."""
PERSON = for_every_kind("account none none none none none none none none none none")
"""The same for what belongs to the user and not to the account that linked users share."""
COMMUNITY = for_every_kind("shared none none shared shared shared shared shared shared none none")
"""The settings of the server that the viewer is in; linked and operator are in none."""
COMMUNITY_ADMINS = for_every_kind("denied denied denied denied denied denied shared denied denied none none")
"""To change them. The operator is in no server here; the admins of other places change those of their own."""
TIERS = for_every_kind("denied denied closed-open denied denied denied open denied denied open open")
"""The tiers that the viewer may give to roles: admins of a server only the open ones."""
OWN_PAYMENT = for_every_kind("done done none none none none none none none none none")
"""A payment of the owner: it belongs to the account, which the linked user shares."""
OTHERS_LINK = for_every_kind("none none none none none none none none none none none")
"""A link request between two other users."""
NEW_LINK = for_every_kind("done linked done done done done done blocked done done done")
"""The linked user shares an account with another one, who has not agreed to a third user."""
UNLINK = for_every_kind("alone done alone alone alone alone alone alone alone alone alone")
ANYBODY = for_every_kind("done done done done done done done done done done done")
"""The verb is about no user."""


@dataclass(frozen=True)
class World:
    """A viewer, and an owner with a job, a setting and a refusal, in a server with settings and a role."""

    studio: Studio
    store: Store
    job: Job
    owner: Requester
    refusal: int
    viewer: Viewer
    reply_to: ReplyTo

    async def waiting(self) -> Job | None:
        listed = (await self.studio.waiting(self.viewer, 1000)).jobs
        return next((job for job in listed if job.id == self.job.id), None)

    async def in_history(self, history: Awaitable[list[Job]]) -> Job | None:
        return next((job for job in await history if job.id == self.job.id), None)


Call = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True)
class Row:
    cells: dict[str, str]
    call: Call
    state: JobState = JobState.DELIVERED


async def receive_picture(world: World) -> str:
    async with world.studio.receive_uploads(world.viewer) as intake:
        return Path(await intake.picture("a.png", len(PICTURE), fetch_picture)).name


async def read_recipe(world: World) -> object:
    return await world.studio.read_attached_recipe("a.png", len(PICTURE), fetch_picture, world.viewer)


async def fetch_picture() -> bytes:
    return PICTURE


async def refund_own_payment(world: World) -> object:
    payment = await payment_of_owner(world)
    return await world.studio.refund_own_payment(world.viewer, payment.id, return_money)


async def refund_payment(world: World) -> object:
    payment = await payment_of_owner(world)
    return await world.studio.refund_payment(world.viewer, payment.name, return_money)


async def reverse_purchase(world: World) -> str:
    payment = await payment_of_owner(world)
    await world.studio.reverse_purchase(world.viewer, payment.name)
    return "none" if await world.store.payments_of(world.owner.key) else "account"


async def record_purchase(world: World) -> str:
    name = f"{world.viewer.platform}:payment-{world.job.id}"
    await world.studio.record_purchase(world.viewer, 5, payment=name)
    return "account" if await world.store.payments_of(world.owner.key) else "none"


async def payments(world: World) -> str:
    payment = await payment_of_owner(world)
    found = await world.studio.payments(world.viewer)
    return "account" if payment.id in {one.id for one in found} else "none"


async def payment_of_owner(world: World) -> Payment:
    await world.store.record_purchase(world.owner.key, 5, payment=f"discord:payment-{world.job.id}")
    (payment,) = await world.store.payments_of(world.owner.key)
    return payment


async def return_money(payment: object) -> bool:
    del payment
    return True


async def answer_link_request(world: World) -> object:
    """Answer a request between two other users."""
    maker, taker = (
        make_viewer(f"{side}{world.job.id}", platform="discord", private=True) for side in ("a", "b")
    )
    code = (await world.studio.link_account(maker, "new")).code
    request = (await world.studio.link_account(taker, code)).request
    assert request is not None
    return await world.studio.answer_link_request(world.viewer, request.id, agree=True)


async def value_of(value: object) -> object:
    return value


async def balance(world: World) -> str:
    return "account" if (await world.studio.balance(world.viewer)).used else "none"


async def ledger_entries(world: World) -> str:
    entries = await world.studio.ledger_entries(world.viewer)
    return "account" if world.job.id in {entry.job for entry in entries} else "none"


async def settings(world: World) -> str:
    return "account" if await world.studio.settings(world.viewer) == OWN_SETTINGS else "none"


async def change_setting(world: World) -> str:
    await world.studio.change_setting(world.viewer, "genre", "jazz")
    changed = await world.store.settings(world.owner.key) != OWN_SETTINGS
    return "account" if changed else "none"


async def community_settings(world: World) -> str:
    return "shared" if await world.studio.community_settings(world.viewer) else "none"


async def change_community_setting(world: World) -> str:
    await world.studio.change_community_setting(world.viewer, "genre", "jazz")
    changed = "genre" in await world.store.settings(SERVER_SETTINGS)
    await world.store.change_setting(SERVER_SETTINGS, "genre", None)
    return "shared" if changed else "none"


async def export(world: World) -> str:
    text = repr(await world.studio.export(world.viewer))
    assert TOKEN not in text
    assert f"/{world.job.id}.mp4" not in text
    return "account" if PROMPT in text else "none"


async def delete_personal_data(world: World) -> str:
    await world.studio.delete_personal_data(world.viewer)
    return "none" if (await world.store.job(world.job.id)).request.prompt == PROMPT else "account"


async def appeal(world: World) -> str:
    return "account" if await world.studio.appeal(world.viewer, refusal=world.refusal) else "none"


async def preview_file(world: World) -> str:
    path = await world.studio.preview_file(world.job.id, world.viewer)
    assert path is not None
    return "path"


async def grantable_tiers(world: World) -> str:
    return "-".join(await world.studio.grantable_tiers(world.viewer)) or "denied"


async def role_tiers(world: World) -> str:
    return "done" if await world.studio.role_tiers([ROLE], world.viewer) else "denied"


JOB_ROWS: dict[str, Row] = {
    "job": Row(SEE, lambda w: w.studio.job(w.job.id, w.viewer)),
    "recipe": Row(READ, lambda w: w.studio.recipe(w.job.id, w.viewer)),
    "queue_position": Row(FACT, lambda w: w.studio.queue_position(w.job.id, w.viewer)),
    "eta": Row(FACT, lambda w: w.studio.eta(w.job.id, w.viewer)),
    "report": Row(FACT, lambda w: w.studio.report(w.job.id, w.viewer)),
    "preview_file": Row(FILE, preview_file),
    "waiting": Row(SEE, lambda w: w.waiting(), JobState.QUEUED),
    "history": Row(HISTORY, lambda w: w.in_history(w.studio.history(w.viewer))),
    "shareable_history": Row(HISTORY, lambda w: w.in_history(w.studio.shareable_history(w.viewer))),
    "cancel": Row(CHANGE, lambda w: w.studio.cancel(w.job.id, w.viewer), JobState.QUEUED),
    "send_again": Row(CHANGE, lambda w: w.studio.send_again(w.job.id, w.viewer), JobState.UNCERTAIN),
    "save_status_message": Row(CHANGE, lambda w: w.studio.save_status_message(w.job.id, "5", w.viewer)),
    "allow_deletion": Row(DELETE, lambda w: w.studio.allow_deletion(w.job.id, w.viewer, lambda _: True)),
    "reroll": Row(MAKE, lambda w: w.studio.reroll(w.job.id, w.viewer, w.reply_to)),
    "reword": Row(MAKE, lambda w: w.studio.reword(w.job.id, "a wolf", w.viewer, w.reply_to)),
    "new_music": Row(
        MAKE, lambda w: w.studio.new_music(w.job.id, MusicWish(genre="jazz"), w.viewer, w.reply_to)
    ),
    "make_derivative": Row(
        MAKE, lambda w: w.studio.make_derivative(Action("bigger", w.job.id), w.viewer, w.reply_to)
    ),
    "perform": Row(MAKE, lambda w: w.studio.perform(Action("reroll", w.job.id), w.viewer, w.reply_to)),
}
OTHER_ROWS: dict[str, Row] = {
    "submit": Row(NEW_JOB, lambda w: w.studio.submit(make_wish("a boat"), w.viewer, w.reply_to)),
    "receive_uploads": Row(ATTACH, receive_picture),
    "read_attached_recipe": Row(ATTACH, read_recipe),
    "decide_review": Row(
        OPERATORS,
        lambda w: w.studio.decide_review(Action("release", w.job.id), w.viewer),
        JobState.HELD,
    ),
    "administer": Row(OPERATORS, lambda w: w.studio.administer("queue list", w.viewer)),
    "appeal": Row(PERSON, appeal),
    "balance": Row(ACCOUNT, balance),
    "ledger_entries": Row(ACCOUNT, ledger_entries),
    "settings": Row(PERSON, settings),
    "change_setting": Row(PERSON, change_setting),
    "community_settings": Row(COMMUNITY, community_settings),
    "change_community_setting": Row(COMMUNITY_ADMINS, change_community_setting),
    "set_role_tier": Row(SERVER_ADMINS, lambda w: w.studio.set_role_tier(ROLE, "open", w.viewer)),
    "role_tiers": Row(SERVER_ADMINS, role_tiers),
    "grantable_tiers": Row(TIERS, grantable_tiers),
    "record_purchase": Row(ACCOUNT, record_purchase),
    "payments": Row(ACCOUNT, payments),
    "refund_own_payment": Row(OWN_PAYMENT, refund_own_payment),
    "refund_payment": Row(OPERATORS, refund_payment),
    "reverse_purchase": Row(PERSON, reverse_purchase),
    "link_account": Row(NEW_LINK, lambda w: w.studio.link_account(w.viewer, "new")),
    "answer_link_request": Row(OTHERS_LINK, answer_link_request),
    "unlink": Row(UNLINK, lambda w: w.studio.unlink(w.viewer)),
    "export": Row(PERSON, export),
    "delete_personal_data": Row(PERSON, delete_personal_data),
    "cost": Row(ANYBODY, lambda w: value_of(w.studio.cost(w.job.request))),
    "preset": Row(ANYBODY, lambda w: value_of(w.studio.preset("testcard"))),
    "available_derivatives": Row(ANYBODY, lambda w: value_of(w.studio.available_derivatives(w.job))),
}
ROWS = JOB_ROWS | OTHER_ROWS

FOR_THE_BOT_ITSELF = {
    "queue_status": "A frontend keeps its status messages of waiting jobs up to date; no user asks for it.",
    "languages": "A frontend reads once, at its start, in which language it answers each of its users.",
    "move_chat": "The platform reports that a chat has another number; no user names one.",
    "resume_refunds": "A task of the running bot asks the platform again about refunds without an answer.",
    "watch_outside_cancels": "A task of the running bot publishes what a terminal beside it has ended.",
    "stop_accepting": "The bot refuses new jobs while it ends.",
}
"""The only verbs without a viewer, because no user's command or button leads to them, and why."""
VALUES = {"default_model", "genres", "presets"}
"""What the operator offers, which every user may know."""


def public_names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def make_viewer_of(who: str, number: int) -> Viewer:
    """The viewer `who` of the job of `owner{number}`."""
    requester = make_requester(f"{who}{number}", platform="discord", community=SERVER)
    viewer = Viewer(requester=requester, chat=STAGE, community_settings_key=SERVER_SETTINGS, private=True)
    nowhere = replace(viewer, community_settings_key="")
    admin = structs.replace(requester, admin=True, community="")
    linked = structs.replace(requester, platform="telegram", community="")
    foreign = structs.replace(requester, community="discord:8")
    elsewhere = structs.replace(requester, platform="telegram", community=f"telegram:{STAGE}")
    everything = replace(
        viewer,
        can_see=lambda _: True,
        is_moderator=yes,
        is_community_admin=yes,
        has_role=lambda role: role == "discord:2",
    )
    viewers = {
        "linked": replace(nowhere, requester=linked),
        "operator": replace(nowhere, requester=admin, chat="99"),
        "sees channel": replace(viewer, chat=LOBBY, can_see=lambda chat: chat == STAGE),
        "moderator": replace(viewer, is_moderator=yes),
        "server admin": replace(viewer, is_community_admin=yes, has_role=lambda role: role == ROLE),
        "no view": replace(viewer, chat=LOBBY, is_moderator=yes),
        "other server": replace(
            everything, requester=foreign, chat="88", community_settings_key="server:discord:8"
        ),
        "other platform": replace(
            everything, requester=elsewhere, community_settings_key=f"telegram:{STAGE}"
        ),
    }
    return viewers.get(who, viewer)


async def yes() -> bool:
    return True


async def make_job(
    store: Store, studio: Studio, folder: Path, owner: Viewer, kind: str, state: JobState
) -> Job:
    reply_to = ReplyTo(
        platform="discord",
        chat=STAGE,
        status="4",
        token=TOKEN,
        token_until=1e12,
        private=kind == "private",
        facts={"app": "1"},
    )
    number = (await studio.submit(make_wish(PROMPT), owner, reply_to)).job.id
    job = await store.job(number)
    if state is JobState.QUEUED:
        return job
    claimed = await store.claim(lease=60)
    assert claimed is not None
    assert claimed.id == job.id
    preview = folder / "clips" / str(job.id) / PREVIEW_FILE
    preview.parent.mkdir(parents=True)
    preview.write_bytes(b"a preview")
    clip = write_clip(folder / f"{job.id}.mp4", job.request)
    await store.mark_rendered(job.id, claimed.epoch, clip)
    if state is JobState.HELD:
        await store.hold_clip(job.id, PictureFailed("testcard", "x"))
        return await store.job(job.id)
    await store.begin_delivery(job.id)
    if state is JobState.UNCERTAIN:
        return await store.mark_uncertain(job.id)
    return await store.mark_delivered(job.id, "5")


@asynccontextmanager
async def open_worlds(
    folder: Path, viewers: Iterable[str], kind: str, state: JobState
) -> AsyncIterator[list[World]]:
    """For each viewer a job of an owner of their own; all in one installation and one server."""
    async with open_studio(folder, credits_=1000, tiers=TIER_NAMES) as (store, studio, _):
        await store.change_setting(SERVER_SETTINGS, "language", "de")
        if kind == "hidden":
            await store.change_setting(SERVER_SETTINGS, "prompts", "asker")
        await studio.set_role_tier(ROLE, "open", BOSS)
        yield [
            await make_world(store, studio, folder, who, number, kind, state)
            for number, who in enumerate(viewers, 1)
        ]


async def make_world(
    store: Store, studio: Studio, folder: Path, who: str, number: int, kind: str, state: JobState
) -> World:
    viewer, owner = make_viewer_of(who, number), make_viewer_of("owner", number)
    job = await make_job(store, studio, folder, owner, kind, state)
    key = owner.requester.key
    await store.change_setting(key, "genre", OWN_SETTINGS["genre"])
    refusal = await store.record_refusal(person=key, rule="words", words=PROMPT)
    if who == "linked":
        await link_users(store, key, viewer.requester.key)
    if who == "blocked":
        await studio.administer(f"block {viewer.requester.key} forever", BOSS)
    return World(
        studio=studio,
        store=store,
        job=job,
        owner=owner.requester,
        refusal=refusal,
        viewer=viewer,
        reply_to=ReplyTo(platform=viewer.platform, chat=viewer.chat),
    )


@asynccontextmanager
async def open_world(folder: Path, who: str, kind: str, state: JobState) -> AsyncIterator[World]:
    async with open_worlds(folder, [who], kind, state) as worlds:
        yield worlds[0]


REFUSALS: dict[type[Exception], str] = {
    NoSuchJob: "none",
    NothingToAppeal: "none",
    NotYourJob: "other",
    Blocked: "blocked",
    NotAllowed: "denied",
    NoSuchPayment: "none",
    InvalidLinkCode: "none",
    AlreadyLinked: "linked",
    NotLinked: "alone",
}
OUTCOMES = {"account", "shared", "path", "denied", "none", "open", "closed-open"}
LISTS = {JOB_ROWS[name].call for name in ("waiting", "history", "shareable_history")}


async def outcome_of(world: World, call: Call, folder: Path) -> str:
    try:
        result = await call(world)
    except tuple(REFUSALS) as error:
        return REFUSALS[type(error)]
    if isinstance(result, str) and result in OUTCOMES:
        return result
    if isinstance(result, Submission):
        assert result.job.requester == world.viewer.requester
        result_text = "made"
    elif isinstance(result, Job):
        result_text = job_outcome(result)
    else:
        result_text = "none" if result is None and call in LISTS else "done"
        assert PROMPT not in repr(result)
    assert TOKEN not in repr(result)
    assert str(folder) not in repr(result)
    return result_text


def job_outcome(job: Job) -> str:
    if PROMPT not in repr(job):
        outcome = "bare"
    elif job.requester.name:
        return "own"
    else:
        outcome = "view"
    place = job.reply_to
    assert [job.requester.name, job.message, place.status] == ["", "", ""]
    assert job.error is None
    assert place.token_until == 0
    assert set(place.facts) <= {"hidden"}
    return outcome


def test_every_public_verb_of_the_studio_has_a_row(studio: Studio) -> None:
    names = public_names(studio)
    verbs = {name for name in names if callable(getattr(studio, name))}
    assert names - verbs == VALUES
    assert verbs == set(ROWS) | set(FOR_THE_BOT_ITSELF)


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    async with open_studio(tmp_path) as (_, opened, _):
        yield opened


def test_every_cell_is_stated() -> None:
    for name, row in ROWS.items():
        assert set(row.cells) == set(KINDS), name
        assert all(len(cells.split()) == len(VIEWERS) for cells in row.cells.values()), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ROWS)
async def test_every_viewer_gets_what_the_table_states(verb: str, kind: str, tmp_path: Path) -> None:
    row = ROWS[verb]
    async with open_worlds(tmp_path, VIEWERS, kind, row.state) as worlds:
        found = [await outcome_of(world, row.call, tmp_path) for world in worlds]
    expected = row.cells[kind].split()
    assert dict(zip(VIEWERS, found, strict=True)) == dict(zip(VIEWERS, expected, strict=True))


@pytest.mark.parametrize("verb", [name for name in JOB_ROWS if JOB_ROWS[name].call not in LISTS])
async def test_a_job_that_one_may_not_see_answers_like_one_that_does_not_exist(
    verb: str, tmp_path: Path
) -> None:
    async with open_world(tmp_path, "no view", "public", JOB_ROWS[verb].state) as world:
        sentences = []
        for number in (world.job.id, 999):
            job = structs.replace(world.job, id=number)
            with pytest.raises(NoSuchJob) as refusal:
                await JOB_ROWS[verb].call(replace(world, job=job))
            sentences.append(messages.explain(refusal.value).replace(str(number), "N"))
        assert sentences[0] == sentences[1]


async def test_a_press_on_a_message_that_does_not_show_the_job_deletes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, "owner", "public", JobState.DELIVERED) as world:
        with pytest.raises(NoSuchJob):
            await world.studio.allow_deletion(world.job.id, world.viewer, lambda _: False)


async def test_a_moderator_deletes_messages_of_their_own_chat_only(tmp_path: Path) -> None:
    async with open_world(tmp_path, "sees channel", "public", JobState.DELIVERED) as world:
        elsewhere = replace(world.viewer, is_moderator=yes)
        with pytest.raises(NotYourJob):
            await world.studio.allow_deletion(world.job.id, elsewhere, lambda _: True)


async def test_a_moderator_deletes_the_message_of_a_user_who_deleted_their_data(tmp_path: Path) -> None:
    async with open_world(tmp_path, "moderator", "public", JobState.DELIVERED) as world:
        await world.studio.delete_personal_data(Viewer(requester=world.owner))
        await world.studio.allow_deletion(world.job.id, world.viewer, lambda _: True)
        with pytest.raises(NoSuchJob):
            await world.studio.job(world.job.id, world.viewer)


async def test_the_idempotency_key_of_another_user_is_another_key(tmp_path: Path) -> None:
    async with open_world(tmp_path, "same channel", "private", JobState.QUEUED) as world:
        owner = make_viewer_of("owner", 1)

        async def submit(viewer: Viewer) -> Job:
            wish = make_wish("a secret" if viewer is owner else "a boat")
            return (await world.studio.submit(wish, viewer, world.reply_to, idempotency_key="discord:1")).job

        first = await submit(owner)
        assert (await submit(owner)).id == first.id
        foreign = await submit(world.viewer)
        assert foreign.id != first.id
        assert (foreign.request.prompt, foreign.requester) == ("a boat", world.viewer.requester)
        assert (await submit(world.viewer)).id == foreign.id


async def test_only_the_viewer_proves_that_a_place_is_for_adults(tmp_path: Path) -> None:
    async with open_world(tmp_path, "owner", "public", JobState.DELIVERED) as world:
        asserted = structs.replace(world.reply_to, facts={"adult": True, "app": "1"})
        made = await world.studio.submit(make_wish(), world.viewer, asserted)
        assert made.job.reply_to.facts == {"app": "1"}
        proven = await world.studio.submit(
            make_wish(), replace(world.viewer, adult_place=True), world.reply_to
        )
        assert proven.job.reply_to.facts == {"adult": True}


async def test_a_frontend_gets_only_its_own_waiting_jobs(tmp_path: Path) -> None:
    async with open_world(tmp_path, "other platform", "public", JobState.QUEUED) as world:
        await world.studio.submit(make_wish(), world.viewer, world.reply_to)
        own = await world.studio.queue_status("telegram")
        assert own.length == 2
        assert [(position, job.reply_to.platform) for position, job in own.queued] == [(1, "telegram")]


async def test_a_wish_for_another_chat_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path, "same channel", "public", JobState.DELIVERED) as world:
        for elsewhere in (
            structs.replace(world.reply_to, chat=LOBBY),
            structs.replace(world.reply_to, platform="telegram"),
        ):
            with pytest.raises(NotInThatChat):
                await world.studio.submit(make_wish(), world.viewer, elsewhere)
            with pytest.raises(NotInThatChat):
                await world.studio.reroll(world.job.id, world.viewer, elsewhere)


async def test_who_may_read_a_prompt_is_not_up_to_the_caller(tmp_path: Path) -> None:
    async with open_world(tmp_path, "same channel", "hidden", JobState.DELIVERED) as world:
        made = await world.studio.submit(make_wish(), world.viewer, world.reply_to)
        assert made.job.reply_to.facts == {"hidden": True}
    async with open_world(tmp_path / "other", "same channel", "public", JobState.DELIVERED) as world:
        asserted = structs.replace(world.reply_to, facts={"hidden": True})
        made = await world.studio.submit(make_wish(), world.viewer, asserted)
        assert made.job.reply_to.facts == {}


@pytest.mark.parametrize("who", [who for who in VIEWERS if who != "operator"])
async def test_no_admin_verb_is_for_moderators_or_server_admins(who: str, tmp_path: Path) -> None:
    async with open_world(tmp_path, who, "public", JobState.HELD) as world:
        for verb in ADMIN_VERBS.values():
            with pytest.raises(NotAllowed):
                await world.studio.administer(f"{verb.name} {world.job.id}", world.viewer)


async def test_what_belongs_to_a_group_is_not_for_all_who_write_in_its_name(tmp_path: Path) -> None:
    async with open_world(tmp_path, "owner", "public", JobState.DELIVERED) as world:
        studio, group = world.studio, "telegram:-100"
        voice = Viewer(
            requester=make_requester("-100", platform="telegram", community=group),
            chat="-100",
            community_settings_key=group,
        )
        await studio.change_setting(replace(voice, is_community_admin=yes), "genre", "lofi")
        for call in (
            studio.change_setting(voice, "genre", "jazz"),
            studio.export(voice),
            studio.delete_personal_data(voice),
        ):
            with pytest.raises(NotAllowed):
                await call
        assert await world.store.settings(group) == {"genre": "lofi"}


@pytest.mark.parametrize("typed", ["new", "some-code", "unlink"])
async def test_accounts_are_linked_and_unlinked_in_private_only(typed: str, tmp_path: Path) -> None:
    async with open_world(tmp_path, "linked", "public", JobState.DELIVERED) as world:
        seen = replace(world.viewer, private=False)
        with pytest.raises(PrivateChatOnly):
            await (world.studio.unlink(seen) if typed == "unlink" else world.studio.link_account(seen, typed))


async def test_a_payment_is_booked_on_the_platform_that_reports_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, "other platform", "public", JobState.DELIVERED) as world:
        with pytest.raises(NoSuchPayment):
            await world.studio.record_purchase(world.viewer, 5, payment="discord:1")


async def test_a_path_beside_a_parent_is_no_way_to_a_file(tmp_path: Path) -> None:
    async with open_world(tmp_path, "same channel", "public", JobState.DELIVERED) as world:
        wish = replace(make_wish("a fox"), image="/etc/passwd", kind=Kind.ANIMATE, model="testcard")
        with pytest.raises(AttachmentRefused):
            await world.studio.submit(wish, world.viewer, world.reply_to)
        with pytest.raises(TypeError, match="parent"):
            await world.studio.submit(wish, world.viewer, world.reply_to, parent=world.job.id)  # type: ignore[call-arg]


def test_the_owner_of_a_job_has_no_rights_that_were_proven_long_ago() -> None:
    job = factories.make_job(requester=make_requester("ana", admin=True, roles=("5",)))
    assert Viewer.owner_of(job).requester == make_requester("ana")
