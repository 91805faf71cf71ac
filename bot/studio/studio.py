"""What every frontend calls: submit, reroll, rescore, cancel, place, history, admin verbs."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from msgspec import structs

from bot.admin.admin import AdminCommands, AdminResult
from bot.domain.errors import ClipGone, DiskLow, NoSuchPayment, NotAcceptingJobs, NotYourJob, TooLate
from bot.domain.events import (
    EventBus,
    JobCancelRequested,
    JobEnded,
    JobHeld,
    JobQueued,
    JobReadyToSend,
)
from bot.domain.jobs import Action, Draft, Job, JobState, ReplyTo, Requester
from bot.domain.quota import Allowance, Balance, Caps, QuotaPlan, Tier, price
from bot.maintenance.retention import RetentionSweeper
from bot.moderation.prompt_policy import PromptPolicy
from bot.moderation.review import Review
from bot.pipeline.retry import simulated_store_failure
from bot.store.store import DeletedData, Eta, LedgerEntry, LinkResult, Payment, Store, Superseded
from bot.studio import derivatives
from bot.studio.admission import Admission, AdmissionTerms
from bot.studio.role_tiers import RoleTiers
from generation.errors import ExplainedError, LimitTooSmall, NotOffered, UnknownChoice
from generation.failpoint import FailPoint, pass_failpoint
from generation.media.size_estimate import smallest_limit_for
from generation.models.common.first_frames import read_image
from generation.models.common.preset import Preset
from generation.models.common.vocabulary import find_unknown_words
from generation.music.common.genre_tables import Genre
from generation.music.common.music_choice import NATIVE, choose_music
from generation.request import (
    SEED_LIMIT,
    Adjustment,
    Kind,
    Limits,
    Music,
    MusicWish,
    Request,
    UnknownWords,
    Wish,
    clean_prompt,
    closest_match,
    complete,
)

log = structlog.get_logger(__name__)

OUTSIDE_CANCEL_POLL = 2.0
REVIEW_VERBS = {"release": "review release", "reject": "review reject", "pardon": "review pardon"}
"""Buttons below a notice, and the admin verbs that they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """What the operator decided, as plain values."""

    default_model: str
    maker: str
    allowance: Allowance
    caps: Caps
    data_folder: Path
    min_free_disk: int
    tiers: tuple[Tier, ...] = ()
    pools: Mapping[str, int] = field(default_factory=dict)
    admins_unlimited: bool = True
    engine_slots: int = 1

    @property
    def quota_plan(self) -> QuotaPlan:
        return QuotaPlan(
            base=self.allowance, tiers=self.tiers, pools=self.pools, admins_unlimited=self.admins_unlimited
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The answer to a submit: the job, how many are served before it, and what was chosen or rounded."""

    job: Job
    queue_position: int | None
    adjustments: tuple[Adjustment | UnknownWords, ...] = ()
    inferred_music: tuple[str, ...] = ()  # which music words were chosen from the prompt
    eta: Eta | None = None  # None until something like it was measured


NATIVE_SOUND = "own sound"


class Studio:
    def __init__(  # noqa: PLR0913  (all are passed by keyword, by the composition root)
        self,
        *,
        store: Store,
        operator_policy: OperatorPolicy,
        presets: Mapping[str, Preset],
        genres: Mapping[str, Genre],
        prompt_policy: PromptPolicy,
        events: EventBus,
        makers: tuple[str, ...] = (),
        melody_makers: tuple[str, ...] = (),
    ) -> None:
        self.operator_policy = operator_policy
        self.presets = presets
        self.genres = genres
        self.makers = makers
        self.melody_makers = melody_makers
        self._store = store
        self._events = events
        self._admission = Admission(
            store=store, prompt_policy=prompt_policy, quota_plan=operator_policy.quota_plan
        )
        self._sweeper = RetentionSweeper(
            store=store, clips=operator_policy.data_folder / "clips", keep_days=0
        )
        self._review = Review(store, events)
        self.roles = RoleTiers(store, operator_policy.tiers)
        self._closed_reason: str | None = None
        self._background_tasks: set[asyncio.Task[None]] = set()
        self.admin = AdminCommands(
            store=store,
            quota_plan=operator_policy.quota_plan,
            models=tuple(presets),
            events=events,
        )
        events.subscribe(JobHeld, self._notify_admins_of_held)

    def _run_in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def watch_outside_cancels(self) -> None:
        """Handle, until cancelled, the jobs that another process ended."""
        while True:
            try:
                if await self._store.has_outside_cancels():
                    for job_id, status_owed in (await self._store.take_outside_cancels()).items():
                        self._events.publish(JobCancelRequested(job_id))
                        if status_owed:
                            self._events.publish(JobEnded(await self.job(job_id)))
            except ExplainedError as error:  # a full disk now is no reason to stop serving
                log.warning("could not see what was done beside us", reason=str(error))
            await asyncio.sleep(OUTSIDE_CANCEL_POLL)

    def stop_accepting(self, reason: str) -> None:
        """Take no new jobs from here on."""
        self._closed_reason = reason

    async def submit(
        self,
        wish: Wish,
        requester: Requester,
        reply_to: ReplyTo,
        *,
        idempotency_key: str = "",
        parent: int | None = None,
    ) -> Submission:
        """A wish becomes a job, paid for and in the queue; raises one of bot.domain.errors.PERSONAL."""
        prompt = clean_prompt(wish.prompt)
        terms = await self._admission.admit(wish, requester, reply_to)
        preset, replaced = self._choose_model(wish, terms.rules.default_model)
        if wish.fast and wish.steps is None:
            wish = replace(wish, steps=preset.fast_steps)
        if parent is None and (wish.image is not None or wish.source is not None):
            wish = await asyncio.to_thread(_check_attachments, wish, preset.limits)
        await asyncio.to_thread(_check_music_files, wish.music)
        if wish.music.genre == NATIVE and not preset.limits.native_audio:
            raise NotOffered(NATIVE_SOUND, preset.name)
        music, inferred = self._choose_music(wish.music, prompt, wish.seconds or preset.limits.seconds)
        request, adjustments = complete(
            wish, model=preset.name, limits=preset.limits, music=music, seed=secrets.randbelow(SEED_LIMIT + 1)
        )
        draft = self._make_draft(request, requester, reply_to, idempotency_key=idempotency_key, parent=parent)
        submission = await self._enqueue(draft, terms)
        unknown = find_unknown_words(preset, prompt)
        notes = (*replaced, *adjustments, *([unknown] if unknown else ()))
        return replace(submission, adjustments=notes, inferred_music=inferred)

    async def reroll(
        self, job_id: int, requester: Requester, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission:
        """The same request with another seed, for picture and music."""
        job = await self.job(job_id)
        seed = secrets.randbelow(SEED_LIMIT + 1)
        request = structs.replace(job.request, seed=seed, music=structs.replace(job.request.music, seed=seed))
        return await self._resubmit(
            request, requester, reply_to, idempotency_key=idempotency_key, parent=job.id
        )

    async def new_music(
        self,
        job_id: int,
        music: MusicWish,
        requester: Requester,
        reply_to: ReplyTo,
        *,
        idempotency_key: str = "",
    ) -> Submission:
        """The same picture with new music; no picture model runs."""
        job = await self.job(job_id)
        if job.clip is None and job.state is not JobState.DELIVERED:
            raise TooLate(job.id, job.state.value)
        if job.clip is None or not job.clip.path.is_file():
            raise ClipGone(job.id)
        if music.genre == NATIVE:
            raise NotOffered(NATIVE_SOUND, job.request.model)
        await asyncio.to_thread(_check_music_files, music)
        chosen, _ = self._choose_music(music, job.request.prompt, job.clip.seconds)
        request = structs.replace(job.request, kind=Kind.MUSIC, music=chosen, source=str(job.clip.path))
        return await self._resubmit(
            request, requester, reply_to, idempotency_key=idempotency_key, parent=job.id
        )

    async def make_derivative(
        self, action: Action, requester: Requester, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission:
        """The clip larger, a clip that goes on from it, or its still in motion."""
        job = await self.job(action.job)
        if job.clip is None and job.state is not JobState.DELIVERED:
            raise TooLate(job.id, job.state.value)
        if job.clip is None or not job.clip.path.is_file():
            raise ClipGone(job.id)
        if action.verb == "animate":
            model = derivatives.animation_model(
                job.request.model, self.presets, self.operator_policy.default_model
            )
            wish = Wish(
                prompt=job.request.prompt,
                negative=job.request.negative,
                kind=Kind.ANIMATE,
                model=model,
                image=str(job.clip.path),
                aspect=derivatives.nearest_aspect(job.clip.width, job.clip.height, self.preset(model).limits),
            )
            return await self.submit(
                wish, requester, reply_to, idempotency_key=idempotency_key, parent=job.id
            )
        limits = self.preset(job.request.model).limits
        if action.verb == "bigger":
            request = derivatives.enlarge_request(job.request, job.clip, limits)
        else:
            seed = secrets.randbelow(SEED_LIMIT + 1)
            request = derivatives.extend_request(job.request, job.clip, limits, seed=seed)
        return await self._resubmit(
            request, requester, reply_to, idempotency_key=idempotency_key, parent=job.id
        )

    def available_derivatives(self, job: Job) -> tuple[str, ...]:
        """The verbs of `sequel` that would work on this clip: only for those is there a button."""
        return derivatives.available_derivatives(job, self.presets, self.operator_policy.default_model)

    async def perform(
        self, action: Action, requester: Requester, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission | Job:
        """What a button does, whoever's chat it is on."""
        match action.verb:
            case "reroll":
                return await self.reroll(action.job, requester, reply_to, idempotency_key=idempotency_key)
            case "score":
                wish = MusicWish(genre=action.choice or None)
                return await self.new_music(
                    action.job, wish, requester, reply_to, idempotency_key=idempotency_key
                )
            case "cancel":
                return await self.cancel(action.job, requester)
            case "animate" | "extend" | "bigger":
                return await self.make_derivative(
                    action, requester, reply_to, idempotency_key=idempotency_key
                )
            case "again":
                return await self.send_again(action.job, requester)
        raise UnknownChoice("button", action.verb, None)

    async def cancel(self, job_id: int, requester: Requester) -> Job:
        job = await self._require_own_job(job_id, requester)
        if job.state is JobState.HELD and job.clip is not None:
            raise TooLate(job_id, job.state.value)  # painted, and now the admins' to decide
        job = await self._store.cancel(job_id)
        self._events.publish(JobCancelRequested(job_id))
        self._events.publish(JobEnded(job))
        log.info("cancelled", job=job_id, by=requester.key)
        return job

    async def send_again(self, job_id: int, requester: Requester) -> Job:
        """A person asks for a doubtful clip once more."""
        await self._require_own_job(job_id, requester)
        try:
            job = await self._store.send_again(job_id)
        except Superseded as error:
            raise TooLate(job_id, (await self.job(job_id)).state.value) from error
        self._events.publish(JobReadyToSend(job))
        return job

    async def job(self, job_id: int) -> Job:
        return await self._store.job(job_id)

    async def record_purchase(self, requester: Requester, credits_: int, *, payment: str) -> bool:
        """Credits that were paid for; False if this payment was booked before."""
        return await self._store.record_purchase(requester.key, credits_, payment=payment)

    async def payments(self, requester: Requester) -> list[Payment]:
        """What they paid for and did not get back, newest first."""
        return await self._store.payments_of(requester.key)

    async def payment(self, name: str) -> Payment:
        found = await self._store.find_payment(name)
        if found is None:
            raise NoSuchPayment
        return found

    async def reverse_purchase(self, payment: str) -> None:
        """The money of this payment went back to its person, so what is left of its credits goes too."""
        await self._store.reverse_purchase(payment)

    async def save_status_message(self, job_id: int, message: str) -> None:
        """Which message of ours tells how the job is."""
        await self._store.save_status_message(job_id, message)

    async def settings(self, key: str) -> dict[str, Any]:
        """What a person or a community likes when nobody says; `key` is Requester.key or a community's."""
        return await self._store.settings(key)

    async def languages(self, platform: str) -> dict[str, str]:
        """Who chose a language there, people and communities, and which."""
        return await self._store.chosen_languages(platform)

    async def change_setting(self, key: str, name: str, value: Any) -> None:
        """None forgets it."""
        await self._store.change_setting(key, name, value)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """A chat got another id: everything that waits goes to the new one."""
        await self._store.move_chat(platform, old, new)

    async def queue_position(self, job_id: int) -> int | None:
        return await self._store.queue_position(job_id)

    async def waiting(self, limit: int = 25) -> list[Job]:
        return await self._store.waiting(limit)

    async def history(self, requester: Requester, limit: int = 10) -> list[Job]:
        return await self._store.history(requester.key, limit)

    async def balance(self, requester: Requester, chat: str = "") -> Balance:
        """Where nothing is counted down, what was used is told all the same."""
        terms = await self._admission.terms_for(requester, chat)
        found = await self._store.balance(requester.key, terms.allowance)
        if not found.unlimited:
            return found
        used = await self._store.used_in_window(requester.key, terms.allowance)
        return replace(found, used=used)

    async def ledger_entries(self, requester: Requester, limit: int = 10) -> list[LedgerEntry]:
        return await self._store.ledger_entries(requester.key, limit)

    async def eta(self, job_id: int) -> Eta | None:
        """When it is likely done, as a range of seconds from now."""
        return await self._store.eta(job_id, slots=self.operator_policy.engine_slots)

    async def report(self, job_id: int, requester: Requester, comment: str = "") -> bool:
        """Something is wrong with this clip; False if the admins have that already."""
        return await self._review.report(await self.job(job_id), requester, comment)

    async def appeal(self, requester: Requester, comment: str = "", *, refusal: int = 0) -> bool:
        """A refusal that seems wrong, the last one if 0; raises NothingToAppeal."""
        return await self._review.appeal(requester, comment, refusal=refusal)

    def _notify_admins_of_held(self, event: JobHeld) -> None:
        self._run_in_background(self._review.notify_held(event.job))

    async def decide_review(self, action: Action, admin: Requester) -> AdminResult:
        """A button below a notice; raises NotAllowed where somebody else pressed it."""
        return await self.admin.perform(f"{REVIEW_VERBS[action.verb]} {action.job}", admin)

    async def link_account(self, requester: Requester, code: str) -> LinkResult:
        """The word new makes a code to be said on the other platform, where it joins the two; or BadCode."""
        if code.strip().lower() in {"", "new"}:
            return LinkResult(code=await self._store.create_link_code(requester.key))
        return LinkResult(other=await self._store.link(requester.key, code))

    async def spoilered(self, jobs: Iterable[Job]) -> frozenset[int]:
        """Which of these clips were sent veiled."""
        numbers = [job.id for job in jobs]
        return await self._store.spoilered(numbers)

    async def export(self, requester: Requester) -> dict[str, Any]:
        """All that is kept about a person, as data for a file."""
        return await self._store.export(requester.key)

    async def delete_personal_data(self, requester: Requester) -> DeletedData:
        """Delete a person's prompts, clips and settings. Nothing is refilled by it."""
        return await self._sweeper.delete_personal_data(requester.key)

    def preset(self, name: str | None) -> Preset:
        wanted = name or self.operator_policy.default_model
        found = self.presets.get(wanted)
        if found is None:
            choices = tuple(sorted(self.presets))
            raise UnknownChoice("model", wanted, closest_match(wanted, choices), choices)
        return found

    def cost(self, request: Request) -> int:
        preset = self.presets[request.model]
        limits = preset.limits
        base = preset.cost / 4 if request.kind in {Kind.MUSIC, Kind.IMAGE} else preset.cost
        return price(
            base=base,
            seconds=limits.seconds if request.kind is Kind.IMAGE else request.seconds,
            default_seconds=limits.seconds,
            pixels=request.width * request.height,
            default_pixels=limits.width * limits.height,
        )

    def _choose_model(
        self, wish: Wish, community_default: str | None
    ) -> tuple[Preset, tuple[Adjustment, ...]]:
        """Who named no model gets the house's, or the first that can where that one cannot."""
        preferred = self.preset(wish.model or community_default)
        if wish.model or wish.kind in {*preferred.limits.kinds, Kind.MUSIC}:
            return preferred, ()
        for other in self.presets.values():
            if wish.kind in other.limits.kinds:
                return other, (Adjustment("model", preferred.name, other.name),)
        return preferred, ()

    def _choose_music(self, wish: MusicWish, prompt: str, seconds: float) -> tuple[Music, tuple[str, ...]]:
        return choose_music(
            wish,
            prompt,
            seconds=seconds,
            genres=self.genres,
            maker=self.operator_policy.maker,
            makers=self.makers,
            melody_makers=self.melody_makers,
            seed=secrets.randbelow(SEED_LIMIT + 1) if wish.seed is None else wish.seed,
        )

    async def _require_own_job(self, job_id: int, requester: Requester) -> Job:
        job = await self.job(job_id)
        if job.requester.key != requester.key and not requester.admin:
            raise NotYourJob(job_id)
        return job

    async def _resubmit(
        self, request: Request, requester: Requester, reply_to: ReplyTo, *, idempotency_key: str, parent: int
    ) -> Submission:
        terms = await self._admission.admit(_wish_from_request(request), requester, reply_to)
        self.preset(request.model)
        draft = self._make_draft(request, requester, reply_to, idempotency_key=idempotency_key, parent=parent)
        return await self._enqueue(draft, terms)

    def _make_draft(
        self,
        request: Request,
        requester: Requester,
        reply_to: ReplyTo,
        *,
        idempotency_key: str,
        parent: int | None,
    ) -> Draft:
        return Draft(
            request=request,
            requester=requester,
            reply_to=reply_to,
            cost=self.cost(request),
            idempotency_key=idempotency_key,
            parent=parent,
        )

    async def _enqueue(self, draft: Draft, terms: AdmissionTerms) -> Submission:
        self._check_accepting()
        _check_upload_limit(draft)
        terms.check_model(draft.request.model)
        pass_failpoint(FailPoint.ENQUEUE, simulated_store_failure)
        enqueued = await self._store.enqueue(
            replace(draft, weight=terms.weight),
            allowance=terms.allowance,
            pool=terms.pool,
            caps=self.operator_policy.caps,
        )
        pass_failpoint(FailPoint.ENQUEUED, simulated_store_failure)
        job = enqueued.job
        if not enqueued.replay:
            self._events.publish(JobQueued(job))
            who, request = draft.requester.key, draft.request
            log.info("queued", job=job.id, who=who, model=request.model, prompt=request.prompt)
        return Submission(
            job=job, queue_position=await self._store.queue_position(job.id), eta=await self.eta(job.id)
        )

    def _check_accepting(self) -> None:
        if self._closed_reason is not None:
            raise NotAcceptingJobs(self._closed_reason)
        free = shutil.disk_usage(self.operator_policy.data_folder).free
        if free < self.operator_policy.min_free_disk:
            raise DiskLow(free, self.operator_policy.min_free_disk)


def _wish_from_request(request: Request) -> Wish:
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


def _check_attachments(wish: Wish, limits: Limits) -> Wish:
    """What is attached, opened warily before anything is charged: it decides the shape where nobody says."""
    if wish.source is not None:
        clip = derivatives.open_clip(Path(wish.source))
        return derivatives.fill_from_clip(wish, clip, limits)
    picture = read_image(Path(wish.image or ""))
    if wish.width or wish.height or wish.aspect:
        return wish
    return replace(wish, aspect=derivatives.nearest_aspect(picture.width, picture.height, limits))


def _check_music_files(music: MusicWish) -> None:
    """What is attached to be heard, opened as warily: its first moment, for the rest is the engine's."""
    for path in filter(None, (music.track, music.melody)):
        from generation.music.common.audio_decode import check_audio_file  # noqa: PLC0415  (heavy)

        check_audio_file(Path(path), Path(path).name)


def _check_upload_limit(draft: Draft) -> None:
    """What cannot be sent is neither painted nor charged."""
    limit, minimum = draft.reply_to.limit, smallest_limit_for(draft.request)
    if 0 < limit < minimum:
        raise LimitTooSmall(limit, minimum)
