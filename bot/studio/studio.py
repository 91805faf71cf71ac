"""What every frontend calls: submit, reroll, rescore, cancel, place, history, admin verbs."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from msgspec import structs

from bot.admin.admin import Admin, Answer
from bot.domain.errors import ClipGone, Closing, DiskLow, NoSuchPayment, NotYours, TooLate
from bot.domain.jobs import Action, Draft, Job, ReplyTo, Requester, State
from bot.domain.quota import Allowance, Balance, Caps, Plan, Tier, price
from bot.maintenance.retention import Sweeper
from bot.moderation.admin_notices import Notice
from bot.moderation.prompt_policy import Policy
from bot.moderation.review import Review
from bot.pipeline.retry import ill
from bot.store import cancel_outbox, chosen_languages, inspections, payments, spending, status_outbox
from bot.store.payments import Payment
from bot.store.store import Entry, Eta, Linked, Store, Superseded, Swept
from bot.studio import derivatives
from bot.studio.admission import Gate, Terms
from bot.studio.role_tiers import Roles
from generation.errors import LimitTooSmall, NotOffered, Told, UnknownChoice
from generation.failpoint import Place, here
from generation.media.size_estimate import floor_of
from generation.models.common.first_frames import read_picture
from generation.models.common.preset import Preset
from generation.models.common.vocabulary import unheard
from generation.music.common.genre_tables import Genre
from generation.music.common.music_choice import NATIVE, choose
from generation.request import (
    SEED_LIMIT,
    Adjustment,
    Kind,
    Limits,
    Music,
    MusicWish,
    Request,
    Unheard,
    Wish,
    clean_prompt,
    complete,
    near,
)

log = structlog.get_logger(__name__)

HEED_EVERY = 2.0
DECISIONS = {"release": "review release", "reject": "review reject", "pardon": "review pardon"}
"""Buttons below a notice, and the admin verbs that they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the operator decided, as plain values."""

    model: str
    maker: str
    allowance: Allowance
    caps: Caps
    data: Path
    disk_floor: int
    tiers: tuple[Tier, ...] = ()
    pools: Mapping[str, int] = field(default_factory=dict)
    admins_unlimited: bool = True
    slots: int = 1

    @property
    def plan(self) -> Plan:
        return Plan(
            base=self.allowance, tiers=self.tiers, pools=self.pools, admins_unlimited=self.admins_unlimited
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The answer to a submit: the job, how many are served before it, and what was chosen or rounded."""

    job: Job
    place: int | None
    adjustments: tuple[Adjustment | Unheard, ...] = ()
    inferred: tuple[str, ...] = ()  # which music words were chosen from the prompt
    eta: Eta | None = None  # None until something like it was measured


OWN_SOUND = "own sound"


class Studio:
    def __init__(
        self,
        *,
        store: Store,
        house: House,
        presets: Mapping[str, Preset],
        genres: Mapping[str, Genre],
        policy: Policy,
        makers: tuple[str, ...] = (),
        followers: tuple[str, ...] = (),
    ) -> None:
        self.house = house
        self.presets = presets
        self.genres = genres
        self.makers = makers
        self.followers = followers
        self._store = store
        self._gate = Gate(store=store, policy=policy, plan=house.plan)
        self._sweeper = Sweeper(store=store, clips=house.data / "clips", keep_days=0)
        self._review = Review(store)
        self.roles = Roles(store, house.tiers)
        self._closed: str | None = None
        self.on_work: Callable[[], None] = _nobody
        self.on_cancel: Callable[[int], None] = _nobody_cares
        self.on_rendered: Callable[[], None] = _nobody
        self.on_ended: Callable[[Job], None] = _nobody_told
        self._telling: set[asyncio.Task[None]] = set()
        self.admin = Admin(
            store=store,
            plan=house.plan,
            models=tuple(presets),
            on_end=self._ended_by_admin,
            on_change=self._changed,
        )

    def _ended_by_admin(self, job_id: int) -> None:
        """Its person is told, whoever ended it."""
        self.on_cancel(job_id)
        self._soon(self._tell_ended(job_id))

    def read_notices(self, read: Callable[[Notice], None]) -> None:
        """Whatever the admins should hear of goes here."""
        self._review.on_notice = read

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_ended(self, job_id: int) -> None:
        """Unless it was said meanwhile, as what is owed at a start is."""
        job = await self.job(job_id)
        deaf = job.reply_to.platform == "cli"  # to whom no word is ever owed
        if deaf or await self._store.look(lambda c, _: status_outbox.is_owed(c, job_id)):
            self.on_ended(job)

    def _changed(self) -> None:
        self.on_work()
        self.on_rendered()

    async def heed(self) -> None:
        """Until cancelled: see to what a terminal beside us did."""
        while True:
            try:
                if await self._store.look(lambda c, _: cancel_outbox.any_left(c)):
                    for job_id, owed in (await self._store.act(lambda c, _: cancel_outbox.take(c))).items():
                        self._ended_by_admin(job_id) if owed else self.on_cancel(job_id)
            except Told as error:  # a full disk now is no reason to stop serving
                log.warning("could not see what was done beside us", reason=str(error))
            await asyncio.sleep(HEED_EVERY)

    def close_doors(self, why: str) -> None:
        """Take no new jobs from here on."""
        self._closed = why

    async def submit(
        self,
        wish: Wish,
        requester: Requester,
        reply_to: ReplyTo,
        *,
        update: str = "",
        parent: int | None = None,
    ) -> Ticket:
        """A wish becomes a job, paid for and in the queue; raises one of bot.domain.errors.PERSONAL."""
        prompt = clean_prompt(wish.prompt)
        terms = await self._gate.admit(wish, requester, reply_to)
        preset, replaced = self._painter(wish, terms.rules.default_model)
        if wish.fast and wish.steps is None:
            wish = replace(wish, steps=preset.fast_steps)
        if parent is None and (wish.image is not None or wish.source is not None):
            wish = await asyncio.to_thread(_looked_at, wish, preset.limits)
        await asyncio.to_thread(_listened_to, wish.music)
        if wish.music.genre == NATIVE and not preset.limits.native_audio:
            raise NotOffered(OWN_SOUND, preset.name)
        music, inferred = self._music(wish.music, prompt, wish.seconds or preset.limits.seconds)
        request, adjustments = complete(
            wish, model=preset.name, limits=preset.limits, music=music, seed=secrets.randbelow(SEED_LIMIT + 1)
        )
        draft = self._draft(request, requester, reply_to, update=update, parent=parent)
        ticket = await self._enqueue(draft, terms)
        missed = unheard(preset, prompt)
        told = (*replaced, *adjustments, *([missed] if missed else ()))
        return replace(ticket, adjustments=told, inferred=inferred)

    async def reroll(
        self, job_id: int, requester: Requester, reply_to: ReplyTo, *, update: str = ""
    ) -> Ticket:
        """The same request with another seed, for picture and music."""
        job = await self.job(job_id)
        seed = secrets.randbelow(SEED_LIMIT + 1)
        request = structs.replace(job.request, seed=seed, music=structs.replace(job.request.music, seed=seed))
        return await self._again(request, requester, reply_to, update=update, parent=job.id)

    async def rescore(
        self, job_id: int, music: MusicWish, requester: Requester, reply_to: ReplyTo, *, update: str = ""
    ) -> Ticket:
        """The same picture with new music; no picture model runs."""
        job = await self.job(job_id)
        if job.clip is None and job.state is not State.DELIVERED:
            raise TooLate(job.id, job.state.value)
        if job.clip is None or not job.clip.path.is_file():
            raise ClipGone(job.id)
        if music.genre == NATIVE:
            raise NotOffered(OWN_SOUND, job.request.model)
        await asyncio.to_thread(_listened_to, music)
        chosen, _ = self._music(music, job.request.prompt, job.clip.seconds)
        request = structs.replace(job.request, kind=Kind.SCORE, music=chosen, source=str(job.clip.path))
        return await self._again(request, requester, reply_to, update=update, parent=job.id)

    async def sequel(
        self, action: Action, requester: Requester, reply_to: ReplyTo, *, update: str = ""
    ) -> Ticket:
        """The clip larger, a clip that goes on from it, or its still in motion."""
        job = await self.job(action.job)
        if job.clip is None and job.state is not State.DELIVERED:
            raise TooLate(job.id, job.state.value)
        if job.clip is None or not job.clip.path.is_file():
            raise ClipGone(job.id)
        if action.verb == "animate":
            model = derivatives.animator(job.request.model, self.presets, self.house.model)
            wish = Wish(
                prompt=job.request.prompt,
                negative=job.request.negative,
                kind=Kind.ANIMATE,
                model=model,
                image=str(job.clip.path),
                aspect=derivatives.nearest_aspect(job.clip.width, job.clip.height, self.preset(model).limits),
            )
            return await self.submit(wish, requester, reply_to, update=update, parent=job.id)
        limits = self.preset(job.request.model).limits
        if action.verb == "bigger":
            request = derivatives.larger(job.request, job.clip, limits)
        else:
            seed = secrets.randbelow(SEED_LIMIT + 1)
            request = derivatives.longer(job.request, job.clip, limits, seed=seed)
        return await self._again(request, requester, reply_to, update=update, parent=job.id)

    def offers(self, job: Job) -> tuple[str, ...]:
        """The verbs of `sequel` that would work on this clip: only for those is there a button."""
        return derivatives.verbs(job, self.presets, self.house.model)

    async def act(
        self, action: Action, requester: Requester, reply_to: ReplyTo, *, update: str = ""
    ) -> Ticket | Job:
        """What a button does, whoever's chat it is on."""
        match action.verb:
            case "reroll":
                return await self.reroll(action.job, requester, reply_to, update=update)
            case "score":
                wish = MusicWish(genre=action.choice or None)
                return await self.rescore(action.job, wish, requester, reply_to, update=update)
            case "cancel":
                return await self.cancel(action.job, requester)
            case "animate" | "extend" | "bigger":
                return await self.sequel(action, requester, reply_to, update=update)
            case "again":
                return await self.send_again(action.job, requester)
        raise UnknownChoice("button", action.verb, None)

    async def cancel(self, job_id: int, requester: Requester) -> Job:
        job = await self._own(job_id, requester)
        if job.state is State.HELD and job.clip is not None:
            raise TooLate(job_id, job.state.value)  # painted, and now the admins' to decide
        job = await self._store.cancel(job_id)
        self.on_cancel(job_id)
        self.on_ended(job)
        log.info("cancelled", job=job_id, by=requester.key)
        return job

    async def send_again(self, job_id: int, requester: Requester) -> Job:
        """A person asks for a doubtful clip once more."""
        await self._own(job_id, requester)
        try:
            job = await self._store.send_again(job_id)
        except Superseded as error:
            raise TooLate(job_id, (await self.job(job_id)).state.value) from error
        self.on_rendered()
        return job

    async def job(self, job_id: int) -> Job:
        return await self._store.job(job_id)

    async def buy(self, requester: Requester, credits_: int, *, payment: str) -> bool:
        """Credits that were paid for; False if this payment was booked before."""
        return await self._store.buy(requester.key, credits_, payment=payment)

    async def payments(self, requester: Requester) -> list[Payment]:
        """What they paid for and did not get back, newest first."""
        return await self._store.look(lambda c, _: payments.of(c, requester.key))

    async def payment(self, name: str) -> Payment:
        found = await self._store.look(lambda c, _: payments.named(c, name))
        if found is None:
            raise NoSuchPayment
        return found

    async def unbuy(self, name: str) -> None:
        """The money of this payment went back to its person, so what is left of its credits goes too."""
        await self._store.act(lambda c, now: payments.take_back(c, name, now))

    async def remember_status(self, job_id: int, message: str) -> None:
        """Which message of ours tells how the job is."""
        await self._store.remember_status(job_id, message)

    async def settings(self, key: str) -> dict[str, Any]:
        """What a person or a community likes when nobody says; `key` is Requester.key or a community's."""
        return await self._store.settings(key)

    async def languages(self, platform: str) -> dict[str, str]:
        """Who chose a language there, people and communities, and which."""
        return await self._store.look(lambda c, _: chosen_languages.chosen(c, platform))

    async def change_setting(self, key: str, name: str, value: Any) -> None:
        """None forgets it."""
        await self._store.change_setting(key, name, value)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """A chat got another id: everything that waits goes to the new one."""
        await self._store.move_chat(platform, old, new)

    async def place(self, job_id: int) -> int | None:
        return await self._store.place(job_id)

    async def waiting(self, limit: int = 25) -> list[Job]:
        return await self._store.waiting(limit)

    async def history(self, requester: Requester, limit: int = 10) -> list[Job]:
        return await self._store.history(requester.key, limit)

    async def balance(self, requester: Requester, chat: str = "") -> Balance:
        """Where nothing is counted down, what was used is told all the same."""
        terms = await self._gate.terms(requester, chat)
        found = await self._store.balance(requester.key, terms.allowance)
        if not found.unlimited:
            return found
        used = await self._store.look(
            lambda c, now: spending.in_window(c, requester.key, terms.allowance, now)
        )
        return replace(found, used=used)

    async def entries(self, requester: Requester, limit: int = 10) -> list[Entry]:
        return await self._store.entries(requester.key, limit)

    async def eta(self, job_id: int) -> Eta | None:
        """When it is likely done, as a range of seconds from now."""
        return await self._store.eta(job_id, slots=self.house.slots)

    async def report(self, job_id: int, requester: Requester, words: str = "") -> bool:
        """Something is wrong with this clip; False if the admins have that already."""
        return await self._review.report(await self.job(job_id), requester, words)

    async def appeal(self, requester: Requester, words: str = "", *, refusal: int = 0) -> bool:
        """A refusal that seems wrong, the last one if 0; raises NothingToAppeal."""
        return await self._review.appeal(requester, words, refusal=refusal)

    def show_held(self, job: Job) -> None:
        """The admins are to look at a clip that was set aside."""
        self._soon(self._review.show_held(job))

    async def decide(self, action: Action, admin: Requester) -> Answer:
        """A button below a notice; raises NotAllowed where somebody else pressed it."""
        return await self.admin.perform(f"{DECISIONS[action.verb]} {action.job}", admin)

    async def link_up(self, requester: Requester, said: str) -> Linked:
        """The word new makes a code to be said on the other platform, where it joins the two; or BadCode."""
        if said.strip().lower() in {"", "new"}:
            return Linked(code=await self._store.link_code(requester.key))
        return Linked(other=await self._store.link(requester.key, said))

    async def veiled(self, jobs: Iterable[Job]) -> frozenset[int]:
        """Which of these clips were sent veiled."""
        numbers = [job.id for job in jobs]
        return await self._store.look(lambda c, _: inspections.veiled(c, numbers))

    async def export(self, requester: Requester) -> dict[str, Any]:
        """All that is kept about a person, as data for a file."""
        return await self._store.export(requester.key)

    async def forget(self, requester: Requester) -> Swept:
        """Delete a person's prompts, clips and settings. Nothing is refilled by it."""
        return await self._sweeper.forget(requester.key)

    def preset(self, name: str | None) -> Preset:
        wanted = name or self.house.model
        found = self.presets.get(wanted)
        if found is None:
            choices = tuple(sorted(self.presets))
            raise UnknownChoice("model", wanted, near(wanted, choices), choices)
        return found

    def cost(self, request: Request) -> int:
        preset = self.presets[request.model]
        limits = preset.limits
        base = preset.cost / 4 if request.kind in {Kind.SCORE, Kind.IMAGE} else preset.cost
        return price(
            base=base,
            seconds=limits.seconds if request.kind is Kind.IMAGE else request.seconds,
            default_seconds=limits.seconds,
            pixels=request.width * request.height,
            default_pixels=limits.width * limits.height,
        )

    def _painter(self, wish: Wish, chosen_here: str | None) -> tuple[Preset, tuple[Adjustment, ...]]:
        """Who named no model gets the house's, or the first that can where that one cannot."""
        usual = self.preset(wish.model or chosen_here)
        if wish.model or wish.kind in {*usual.limits.kinds, Kind.SCORE}:
            return usual, ()
        for other in self.presets.values():
            if wish.kind in other.limits.kinds:
                return other, (Adjustment("model", usual.name, other.name),)
        return usual, ()

    def _music(self, wish: MusicWish, prompt: str, seconds: float) -> tuple[Music, tuple[str, ...]]:
        return choose(
            wish,
            prompt,
            seconds=seconds,
            genres=self.genres,
            maker=self.house.maker,
            makers=self.makers,
            followers=self.followers,
            seed=secrets.randbelow(SEED_LIMIT + 1) if wish.seed is None else wish.seed,
        )

    async def _own(self, job_id: int, requester: Requester) -> Job:
        job = await self.job(job_id)
        if job.requester.key != requester.key and not requester.admin:
            raise NotYours(job_id)
        return job

    async def _again(
        self, request: Request, requester: Requester, reply_to: ReplyTo, *, update: str, parent: int
    ) -> Ticket:
        terms = await self._gate.admit(_as_wish(request), requester, reply_to)
        self.preset(request.model)
        draft = self._draft(request, requester, reply_to, update=update, parent=parent)
        return await self._enqueue(draft, terms)

    def _draft(
        self, request: Request, requester: Requester, reply_to: ReplyTo, *, update: str, parent: int | None
    ) -> Draft:
        return Draft(
            request=request,
            requester=requester,
            reply_to=reply_to,
            cost=self.cost(request),
            update=update,
            parent=parent,
        )

    async def _enqueue(self, draft: Draft, terms: Terms) -> Ticket:
        self._check_open()
        _check_limit(draft)
        terms.check_model(draft.request.model)
        here(Place.ENQUEUE, ill)
        made = await self._store.enqueue(
            replace(draft, weight=terms.weight),
            allowance=terms.allowance,
            pool=terms.pool,
            caps=self.house.caps,
        )
        here(Place.ENQUEUED, ill)
        job = made.job
        if not made.replay:
            self.on_work()
            who, request = draft.requester.key, draft.request
            log.info("queued", job=job.id, who=who, model=request.model, prompt=request.prompt)
        return Ticket(job=job, place=await self._store.place(job.id), eta=await self.eta(job.id))

    def _check_open(self) -> None:
        if self._closed is not None:
            raise Closing(self._closed)
        free = shutil.disk_usage(self.house.data).free
        if free < self.house.disk_floor:
            raise DiskLow(free, self.house.disk_floor)


def _as_wish(request: Request) -> Wish:
    """All of its words, for the rules to read once more: they may have changed, or the music's have."""
    music = request.music
    return Wish(
        prompt=request.prompt,
        negative=request.negative,
        style=request.style,
        camera=request.camera,
        image=request.image,
        source=request.source,
        music=MusicWish(
            genre=music.genre,
            mood=music.mood,
            instruments=music.instruments,
            track=music.track,
            melody=music.melody,
        ),
    )


def _looked_at(wish: Wish, limits: Limits) -> Wish:
    """What is attached, opened warily before anything is charged: it decides the shape where nobody says."""
    if wish.source is not None:
        clip = derivatives.opened(Path(wish.source))
        return derivatives.after(wish, clip, limits)
    picture = read_picture(Path(wish.image or ""))
    if wish.width or wish.height or wish.aspect:
        return wish
    return replace(wish, aspect=derivatives.nearest_aspect(picture.width, picture.height, limits))


def _listened_to(music: MusicWish) -> None:
    """What is attached to be heard, opened as warily: its first moment, for the rest is the engine's."""
    for path in filter(None, (music.track, music.melody)):
        from generation.music.common.audio_decode import check  # noqa: PLC0415  (heavy)

        check(Path(path), Path(path).name)


def _check_limit(draft: Draft) -> None:
    """What cannot be sent is neither painted nor charged."""
    limit, least = draft.reply_to.limit, floor_of(draft.request)
    if 0 < limit < least:
        raise LimitTooSmall(limit, least)


def _nobody() -> None:
    pass


def _nobody_cares(_: int) -> None:
    pass


def _nobody_told(_: Job) -> None:
    pass
