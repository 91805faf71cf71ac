"""From a wish or a finished clip to a job in the queue."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog
from msgspec import structs

from bot.domain.errors import ClipGone, DiskLow, NotAcceptingJobs, TooLate
from bot.domain.events import EventBus, JobQueued
from bot.domain.jobs import Action, Draft, Job, JobState, ReplyTo
from bot.domain.operator import OperatorPolicy
from bot.pipeline.retry import simulated_store_failure
from bot.store.store import Eta, Store
from bot.studio import derivatives
from bot.studio.access import AccessControl, AdmissionTerms, Right, Viewer
from bot.studio.catalog import Catalog, random_seed
from bot.studio.prompt_editing import reworded_wish
from bot.studio.uploads import Uploads
from generation.clip import Clip
from generation.errors import LimitTooSmall, NotOffered
from generation.failpoint import FailPoint, pass_failpoint
from generation.media.size_estimate import smallest_limit_for
from generation.models.common.vocabulary import find_unknown_words
from generation.music.common.music_choice import NATIVE
from generation.request import (
    Adjustment,
    Kind,
    MusicWish,
    Request,
    UnknownWords,
    Wish,
    check_range,
    clean_prompt,
    complete,
)

log = structlog.get_logger(__name__)

NATIVE_SOUND = "own sound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The result of a submit: the job, how many jobs go first, and what was chosen or rounded."""

    job: Job
    queue_position: int | None
    adjustments: tuple[Adjustment | UnknownWords, ...] = ()
    inferred_music: tuple[str, ...] = ()  # the music words that were chosen from the prompt
    eta: Eta | None = None  # None until similar jobs were measured


class Submitter:
    """Checks, completes and prices each wish, and saves it as a job.

    Every public method raises one of bot.domain.errors.USER_ERRORS if the job cannot be accepted. One
    `idempotency_key` of one user makes one job, however often it is submitted. A job is only made from one
    whose prompt the viewer may read: any other raises NoSuchJob or NotYourJob.
    """

    def __init__(
        self,
        *,
        store: Store,
        access: AccessControl,
        catalog: Catalog,
        operator_policy: OperatorPolicy,
        uploads: Uploads,
        events: EventBus,
    ) -> None:
        self._store = store
        self._access = access
        self._catalog = catalog
        self._operator_policy = operator_policy
        self._uploads = uploads
        self._events = events
        self._closed_reason: str | None = None

    def stop_accepting(self, reason: str) -> None:
        """Raise NotAcceptingJobs for every job from now on."""
        self._closed_reason = reason

    async def submit(
        self,
        wish: Wish,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        idempotency_key: str = "",
    ) -> Submission:
        """Turn a wish into a job that is paid for and queued.

        Uploads of the user that no job needs after this are deleted.
        """
        files = (wish.image, wish.music.track, wish.music.melody)
        async with self._discarding_unused(viewer, *files) as needed_by:
            submission = await self._submit(wish, viewer, reply_to, idempotency_key=idempotency_key)
            needed_by.append(submission.job.request)
        return await self._for_viewer(submission, viewer)

    async def _submit(
        self,
        wish: Wish,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        idempotency_key: str,
        parent: int | None = None,
    ) -> Submission:
        """A wish with a parent names files of that job, which were checked before."""
        prompt = clean_prompt(wish.prompt)
        reply_to = await self._access.proven_place(reply_to, viewer)
        terms = await self._access.admit(wish, viewer)
        preset, replaced = self._catalog.choose_preset(wish, terms.rules.default_model)
        if wish.fast and wish.steps is None:
            wish = replace(wish, steps=preset.fast_steps)
        if parent is None and (wish.image is not None or wish.source is not None):
            wish = await self._uploads.complete_from_files(wish, viewer.requester, preset.limits)
        if parent is None:
            await self._uploads.check_music(wish.music, viewer.requester)
        if wish.music.genre == NATIVE and not preset.limits.native_audio:
            raise NotOffered(NATIVE_SOUND, preset.name)
        seconds = wish.seconds or preset.limits.seconds
        check_range("seconds", seconds, preset.limits.min_seconds, preset.limits.max_seconds)
        music, inferred = self._catalog.choose_music(wish.music, prompt, seconds)
        request, adjustments = complete(
            wish, model=preset.name, limits=preset.limits, music=music, seed=random_seed()
        )
        draft = self._make_draft(request, viewer, reply_to, idempotency_key=idempotency_key, parent=parent)
        submission = await self._enqueue(draft, terms)
        unknown = find_unknown_words(preset, prompt)
        notes = (*replaced, *adjustments, *([unknown] if unknown else ()))
        return replace(submission, adjustments=notes, inferred_music=inferred)

    async def reroll(
        self, job_id: int, viewer: Viewer, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission:
        """The same request with another seed for picture and music."""
        job = await self._access.require(Right.READ, job_id, viewer)
        seed = random_seed()
        request = structs.replace(job.request, seed=seed, music=structs.replace(job.request.music, seed=seed))
        submission = await self._resubmit(
            request, viewer, reply_to, idempotency_key=idempotency_key, parent=job.id
        )
        return await self._for_viewer(submission, viewer)

    async def reword(
        self,
        job_id: int,
        prompt: str,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        negative: str | None = None,
        idempotency_key: str = "",
    ) -> Submission:
        """The wish of a job with another prompt; None keeps its negative prompt."""
        job = await self._access.require(Right.READ, job_id, viewer)
        wish = reworded_wish(job, prompt, negative)
        submission = await self._submit(
            wish, viewer, reply_to, idempotency_key=idempotency_key, parent=job.id
        )
        return await self._for_viewer(submission, viewer)

    async def new_music(
        self,
        job_id: int,
        music: MusicWish,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        idempotency_key: str = "",
    ) -> Submission:
        """The same picture with new music; no picture model runs."""
        async with self._discarding_unused(viewer, music.track, music.melody) as needed_by:
            job, clip = await self._require_clip(job_id, viewer)
            if music.genre == NATIVE:
                raise NotOffered(NATIVE_SOUND, job.request.model)
            await self._uploads.check_music(music, viewer.requester)
            submission = await self._submit_new_music(
                job, clip, music, viewer, reply_to, idempotency_key=idempotency_key
            )
            needed_by.append(submission.job.request)
        return await self._for_viewer(submission, viewer)

    async def _submit_new_music(
        self,
        job: Job,
        clip: Clip,
        music: MusicWish,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        idempotency_key: str,
    ) -> Submission:
        chosen, _ = self._catalog.choose_music(music, job.request.prompt, clip.seconds)
        request = structs.replace(job.request, kind=Kind.MUSIC, music=chosen, source=str(clip.path))
        return await self._resubmit(request, viewer, reply_to, idempotency_key=idempotency_key, parent=job.id)

    async def make_derivative(
        self, action: Action, viewer: Viewer, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission:
        """The clip enlarged, the clip extended, or its image animated."""
        job, clip = await self._require_clip(action.job, viewer)
        if action.verb == "animate":
            wish = self._animation_wish(job, clip)
            submission = await self._submit(
                wish, viewer, reply_to, idempotency_key=idempotency_key, parent=job.id
            )
            return await self._for_viewer(submission, viewer)
        limits = self._catalog.preset(job.request.model).limits
        if action.verb == "bigger":
            request = derivatives.enlarge_request(job.request, clip, limits)
        else:
            request = derivatives.extend_request(job.request, clip, limits, seed=random_seed())
        submission = await self._resubmit(
            request, viewer, reply_to, idempotency_key=idempotency_key, parent=job.id
        )
        return await self._for_viewer(submission, viewer)

    def _animation_wish(self, job: Job, clip: Clip) -> Wish:
        model = self._catalog.animation_model(job.request.model)
        limits = self._catalog.preset(model).limits
        return Wish(
            prompt=job.request.prompt,
            negative=job.request.negative,
            kind=Kind.ANIMATE,
            model=model,
            image=str(clip.path),
            aspect=derivatives.nearest_aspect(clip.width, clip.height, limits),
        )

    async def _require_clip(self, job_id: int, viewer: Viewer) -> tuple[Job, Clip]:
        """Raises NoSuchJob, NotYourJob, TooLate if the job has no clip, ClipGone if its file was deleted."""
        job = await self._access.require(Right.READ, job_id, viewer)
        if job.clip is None and job.state is not JobState.DELIVERED:
            raise TooLate(job.id, job.state.value)
        if job.clip is None or not job.clip.path.is_file():
            raise ClipGone(job.id)
        return job, job.clip

    @asynccontextmanager
    async def _discarding_unused(self, viewer: Viewer, *names: str | None) -> AsyncIterator[list[Request]]:
        """Delete the uploads of a refused wish, and those that a repeated update brought a second time."""
        needed_by: list[Request] = []
        try:
            yield needed_by
        except BaseException:  # after some errors the job may exist: its files stay
            await self._uploads.discard(viewer.requester, *names)
            raise
        needed = {path for one in needed_by for path in (one.image, one.music.track, one.music.melody)}
        await self._uploads.discard(viewer.requester, *(name for name in names if name not in needed))

    async def _resubmit(
        self, request: Request, viewer: Viewer, reply_to: ReplyTo, *, idempotency_key: str, parent: int
    ) -> Submission:
        reply_to = await self._access.proven_place(reply_to, viewer)
        terms = await self._access.admit(_wish_from_request(request), viewer)
        self._catalog.preset(request.model)  # raises UnknownChoice if the operator removed the model
        draft = self._make_draft(request, viewer, reply_to, idempotency_key=idempotency_key, parent=parent)
        return await self._enqueue(draft, terms)

    def _make_draft(
        self,
        request: Request,
        viewer: Viewer,
        reply_to: ReplyTo,
        *,
        idempotency_key: str,
        parent: int | None,
    ) -> Draft:
        return Draft(
            request=request,
            requester=viewer.requester,
            reply_to=reply_to,
            cost=self._catalog.cost(request),
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
            caps=self._operator_policy.caps,
        )
        pass_failpoint(FailPoint.ENQUEUED, simulated_store_failure)
        job = enqueued.job
        if not enqueued.replay:
            self._events.publish(JobQueued(job))
            who, request = draft.requester.key, draft.request
            log.info("queued", job=job.id, who=who, model=request.model, prompt=request.prompt)
        return Submission(
            job=job,
            queue_position=await self._store.queue_position(job.id),
            eta=await self._store.eta(job.id, slots=self._operator_policy.engine_slots),
        )

    async def _for_viewer(self, submission: Submission, viewer: Viewer) -> Submission:
        return replace(submission, job=await self._access.view(submission.job, viewer))

    def _check_accepting(self) -> None:
        if self._closed_reason is not None:
            raise NotAcceptingJobs(self._closed_reason)
        free = shutil.disk_usage(self._operator_policy.data_folder).free
        if free < self._operator_policy.min_free_disk:
            raise DiskLow(free, self._operator_policy.min_free_disk)


def _wish_from_request(request: Request) -> Wish:
    """All text of a request, for another check: the rules may have changed since the first one."""
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


def _check_upload_limit(draft: Draft) -> None:
    """Refuse a clip that the chat could not take before it costs anything."""
    limit, minimum = draft.reply_to.limit, smallest_limit_for(draft.request)
    if 0 < limit < minimum:
        raise LimitTooSmall(limit, minimum)
