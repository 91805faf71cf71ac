"""Who may do what with whose job: each verb of the studio, each kind of viewer, each kind of job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bot.domain.errors import (
    AlreadyLinked,
    Blocked,
    InvalidLinkCode,
    NoSuchJob,
    NoSuchPayment,
    NotAllowed,
    NotLinked,
    NotYourJob,
)
from bot.domain.jobs import Action, Job, JobState, ReplyTo, Requester
from bot.i18n import messages
from bot.store.store import Store
from bot.studio.access import Viewer
from bot.studio.studio import Studio, Submission
from generation.errors import PictureFailed
from generation.request import MusicWish
from tests.bot.app_harness import open_studio
from tests.factories import link_users, make_requester, make_wish, write_clip
from tests.fakes import hostile_files

PROMPT, TOKEN, STAGE, LOBBY = "a fox that nobody else may know", "interaction-token-of-the-owner", "10", "11"
SERVER = "discord:7"
PICTURE = hostile_files.png(8, 8)

VIEWERS = (
    "owner",
    "linked",  # another platform, the same account
    "operator",
    "same channel",
    "sees channel",  # the same server, and Discord lets them see the channel
    "moderator",  # an admin of the server, in the same channel
    "blocked",  # in the same channel
    "no view",  # the same server, but they cannot see the channel
    "other server",
    "other platform",  # in a chat with the same number
)
KINDS = ("public", "private", "hidden")
"""`hidden` is a public job in a server whose admins show prompts to the requester only."""

# What a viewer gets: "full" is the job with its token, "own" without the token, "view" with the prompt but
# without token or paths, "bare" without the prompt too; "done" and "made" are successes that show no job of
# another user. "none" is the answer for an unknown job, "other" that it belongs to another user.
SEE = {
    "public": "full own view view view view view none none none",
    "private": "full own view none none none none none none none",
    "hidden": "full own view bare bare bare bare none none none",
}
READ = SEE | {"hidden": "full own view other other other other none none none"}
CHANGE = {
    "public": "full own view other other other other none none none",
    "private": "full own view none none none none none none none",
    "hidden": "full own view other other other other none none none",
}
MAKE = {
    "public": "made made made made made made blocked none none none",
    "private": "made made made none none none none none none none",
    "hidden": "made made made other other other other none none none",
}
DELETE = {
    "public": "done done done other other done other none none none",
    "private": "done done done none none none none none none none",
    "hidden": "done done done other other done other none none none",
}
FACT = {
    "public": "done done done done done done done none none none",
    "private": "done done done none none none none none none none",
    "hidden": "done done done done done done done none none none",
}
HISTORY = dict.fromkeys(KINDS, "full own none none none none none none none none")
NEW_JOB = dict.fromkeys(KINDS, "made made made made made made blocked made made made")
ATTACH = dict.fromkeys(KINDS, "done done done done done done blocked done done done")
"""An upload of the viewer's own, in their own chat."""
OPERATORS_ONLY = dict.fromkeys(KINDS, "denied denied done denied denied denied denied denied denied denied")
NO_JOB = dict.fromkeys(KINDS, " ".join(["done"] * len(VIEWERS)))
"""The verb is about the caller's own account or about no user: it never shows a job of another user."""
OWN_DATA = dict.fromkeys(KINDS, "own" + " done" * (len(VIEWERS) - 1))
OWN_PAYMENT = dict.fromkeys(KINDS, "done done" + " none" * (len(VIEWERS) - 2))
"""A payment of the owner: it belongs to the account, which the linked user shares."""
OTHERS_LINK = dict.fromkeys(KINDS, " ".join(["none"] * len(VIEWERS)))
"""A link request between two other users."""
NEW_LINK = dict.fromkeys(KINDS, "done linked done done done done blocked done done done")
"""The linked user shares an account with another one, who has not agreed to a third user."""
UNLINK = dict.fromkeys(KINDS, "alone done" + " alone" * (len(VIEWERS) - 2))


@dataclass(frozen=True)
class World:
    studio: Studio
    store: Store
    job: Job
    viewer: Viewer
    reply_to: ReplyTo

    @property
    def requester(self) -> Requester:
        return self.viewer.requester

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
    async with world.studio.receive_uploads(world.viewer, world.reply_to) as intake:
        return Path(await intake.picture("a.png", len(PICTURE), fetch_picture)).name


async def read_recipe(world: World) -> object:
    file = ("a.png", len(PICTURE), fetch_picture)
    return await world.studio.read_attached_recipe(*file, world.viewer, world.reply_to)


async def fetch_picture() -> bytes:
    return PICTURE


async def refund_payment_of_owner(world: World) -> object:
    name = f"discord:payment-{world.job.id}"
    await world.studio.record_purchase(world.job.requester, 5, payment=name)
    (payment,) = await world.studio.payments(world.job.requester)
    return await world.studio.refund_own_payment(world.requester, payment.id, return_money)


async def refund_any_payment(world: World) -> object:
    name = f"discord:payment-{world.job.id}"
    await world.studio.record_purchase(world.job.requester, 5, payment=name)
    return await world.studio.refund_payment(world.requester, name, return_money)


async def return_money(payment: object) -> bool:
    del payment
    return True


async def answer_link_request_of_others(world: World) -> object:
    maker, taker = (make_requester(f"{side}{world.job.id}", platform="discord") for side in ("a", "b"))
    code = (await world.studio.link_account(maker, "new", private=True)).code
    request = (await world.studio.link_account(taker, code, private=True)).request
    assert request is not None
    return await world.studio.answer_link_request(world.requester, request.id, agree=True)


async def value_of(value: object) -> object:
    return value


JOB_ROWS: dict[str, Row] = {
    "job": Row(SEE, lambda w: w.studio.job(w.job.id, w.viewer)),
    "recipe": Row(READ, lambda w: w.studio.recipe(w.job.id, w.viewer)),
    "queue_position": Row(FACT, lambda w: w.studio.queue_position(w.job.id, w.viewer)),
    "eta": Row(FACT, lambda w: w.studio.eta(w.job.id, w.viewer)),
    "report": Row(FACT, lambda w: w.studio.report(w.job.id, w.viewer)),
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
        OPERATORS_ONLY,
        lambda w: w.studio.decide_review(Action("release", w.job.id), w.requester),
        JobState.HELD,
    ),
    "admin.perform": Row(OPERATORS_ONLY, lambda w: w.studio.admin.perform("queue list", w.requester)),
    "appeal": Row(NO_JOB, lambda w: w.studio.appeal(w.requester, "why")),
    "balance": Row(NO_JOB, lambda w: w.studio.balance(w.requester)),
    "ledger_entries": Row(NO_JOB, lambda w: w.studio.ledger_entries(w.requester)),
    "payments": Row(NO_JOB, lambda w: w.studio.payments(w.requester)),
    "refund_own_payment": Row(OWN_PAYMENT, refund_payment_of_owner),
    "refund_payment": Row(OPERATORS_ONLY, refund_any_payment),
    "link_account": Row(NEW_LINK, lambda w: w.studio.link_account(w.requester, "new", private=True)),
    "answer_link_request": Row(OTHERS_LINK, answer_link_request_of_others),
    "unlink": Row(UNLINK, lambda w: w.studio.unlink(w.requester, private=True)),
    "export": Row(OWN_DATA, lambda w: w.studio.export(w.requester)),
    "delete_personal_data": Row(OWN_DATA, lambda w: w.studio.delete_personal_data(w.requester)),
    "cost": Row(NO_JOB, lambda w: value_of(w.studio.cost(w.job.request))),
    "preset": Row(NO_JOB, lambda w: value_of(w.studio.preset("testcard"))),
    "available_derivatives": Row(NO_JOB, lambda w: value_of(w.studio.available_derivatives(w.job))),
    "roles.grantable_tiers": Row(NO_JOB, lambda w: value_of(w.studio.roles.grantable_tiers(w.requester))),
    "roles.tiers_of": Row(NO_JOB, lambda w: w.studio.roles.tiers_of(["discord:1"])),
    "roles.set_tier": Row(NO_JOB, lambda w: w.studio.roles.set_tier("discord:1", None, w.requester)),
}
ROWS = JOB_ROWS | OTHER_ROWS

FOR_THE_BOT_ITSELF = {
    "queue_status",  # the frontend's own status messages
    "watch_outside_cancels",  # a task of the running bot
    "stop_accepting",  # the end of the running bot
    "languages",  # read once by a frontend at its start
    "move_chat",  # the platform reports that a chat has another number
    "record_purchase",  # the platform reports a payment
    "reverse_purchase",  # the platform reports a refund
    "resume_refunds",  # a task of the running bot
    "settings",
    "change_setting",
}
"""Verbs that no job is named to, and which a frontend calls with keys that it has made itself."""
PARTS = {"admin", "default_model", "genres", "operator_policy", "presets", "roles"}


def public_names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def make_viewer_of(who: str, number: int) -> Viewer:
    """The viewer `who` of the job of `owner{number}`."""
    requester = make_requester(f"{who}{number}", platform="discord", community=SERVER)
    viewer = Viewer(requester=requester, chat=STAGE)
    admin = structs.replace(requester, admin=True, community="")
    linked = structs.replace(requester, platform="telegram", community="")
    foreign = structs.replace(requester, community="discord:8")
    elsewhere = structs.replace(requester, platform="telegram", community=f"telegram:{STAGE}")
    everywhere = replace(viewer, can_see=lambda _: True, is_moderator=yes)
    viewers = {
        "linked": replace(viewer, requester=linked),
        "operator": replace(viewer, requester=admin, chat="99"),
        "sees channel": replace(viewer, chat=LOBBY, can_see=lambda chat: chat == STAGE),
        "moderator": replace(viewer, is_moderator=yes),
        "no view": replace(viewer, chat=LOBBY, is_moderator=yes),
        "other server": replace(everywhere, requester=foreign, chat="88"),
        "other platform": replace(everywhere, requester=elsewhere),
    }
    return viewers.get(who, viewer)


async def yes() -> bool:
    return True


async def make_job(
    store: Store, studio: Studio, folder: Path, owner: Viewer, kind: str, state: JobState
) -> Job:
    facts = {"app": "1", **({"hidden": True} if kind == "hidden" else {})}
    reply_to = ReplyTo(
        platform="discord",
        chat=STAGE,
        status="4",
        token=TOKEN,
        token_until=1e12,
        private=kind == "private",
        facts=facts,
    )
    job = (await studio.submit(make_wish(PROMPT), owner, reply_to)).job
    if state is JobState.QUEUED:
        return job
    claimed = await store.claim(lease=60)
    assert claimed is not None
    assert claimed.id == job.id
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
    """For each viewer a job of an owner of their own; all in one installation."""
    operator = make_requester("boss", platform="discord", admin=True)
    async with open_studio(folder, credits_=1000) as (store, studio, _):
        worlds = []
        for number, who in enumerate(viewers, 1):
            viewer, owner = make_viewer_of(who, number), make_viewer_of("owner", number)
            job = await make_job(store, studio, folder, owner, kind, state)
            if who == "linked":
                await link_users(store, owner.requester.key, viewer.requester.key)
            if who == "blocked":
                await studio.admin.perform(f"block {viewer.requester.key} forever", operator)
            own_place = ReplyTo(platform=viewer.platform, chat=viewer.chat)
            worlds.append(World(studio, store, job, viewer, own_place))
        yield worlds


@asynccontextmanager
async def open_world(folder: Path, who: str, kind: str, state: JobState) -> AsyncIterator[World]:
    async with open_worlds(folder, [who], kind, state) as worlds:
        yield worlds[0]


async def outcome_of(world: World, call: Call, folder: Path) -> str:
    try:
        result = await call(world)
    except tuple(REFUSALS) as error:
        return REFUSALS[type(error)]
    if isinstance(result, Submission):
        assert result.job.requester == world.requester
        return "made"
    if isinstance(result, Job):
        return job_outcome(result, folder)
    text = repr(result)
    assert TOKEN not in text
    if str(folder) in text or PROMPT in text:
        return "own"
    return "none" if result is None and call in LISTS else "done"


REFUSALS: dict[type[Exception], str] = {
    NoSuchJob: "none",
    NotYourJob: "other",
    Blocked: "blocked",
    NotAllowed: "denied",
    NoSuchPayment: "none",
    InvalidLinkCode: "none",
    AlreadyLinked: "linked",
    NotLinked: "alone",
}
LISTS = {JOB_ROWS[name].call for name in ("waiting", "history", "shareable_history")}


def job_outcome(job: Job, folder: Path) -> str:
    text = repr(job)
    if TOKEN in text:
        return "full"
    if PROMPT not in text:
        outcome = "bare"
    elif job.requester.name:
        return "own"
    else:
        outcome = "view"
    assert str(folder) not in text
    place = job.reply_to
    assert [job.requester.name, job.message, place.status] == ["", "", ""]
    assert job.error is None
    assert place.token_until == 0
    assert set(place.facts) <= {"hidden"}
    return outcome


def test_every_public_verb_of_the_studio_has_a_row(studio: Studio) -> None:
    names = public_names(studio)
    verbs = {name for name in names if callable(getattr(studio, name))}
    of_parts = {
        f"{part}.{name}"
        for part in ("admin", "roles")
        for name in public_names(getattr(studio, part))
        if callable(getattr(getattr(studio, part), name))
    }
    assert names - verbs == PARTS
    assert verbs | of_parts == set(ROWS) | FOR_THE_BOT_ITSELF


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
        await world.studio.delete_personal_data(world.job.requester)
        await world.studio.allow_deletion(world.job.id, world.viewer, lambda _: True)
        with pytest.raises(NoSuchJob):
            await world.studio.job(world.job.id, world.viewer)


async def test_the_idempotency_key_of_another_user_shows_no_job(tmp_path: Path) -> None:
    async with open_world(tmp_path, "same channel", "private", JobState.QUEUED) as world:
        owner = make_viewer_of("owner", 1)
        submit = world.studio.submit
        first = await submit(make_wish("a secret"), owner, world.reply_to, idempotency_key="discord:1")
        assert (
            await submit(make_wish(), owner, world.reply_to, idempotency_key="discord:1")
        ).job == first.job
        with pytest.raises(NoSuchJob):
            await submit(make_wish(), world.viewer, world.reply_to, idempotency_key="discord:1")


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
