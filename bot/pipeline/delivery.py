"""Delivery: fit each rendered clip to its chat, send it, and record the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from bot.domain.errors import CannotDeliver, ClipGone, ClipNotAllowed, NeedsReview
from bot.domain.events import (
    EventBus,
    JobDelivered,
    JobEnded,
    JobHeld,
    JobProgressed,
    JobReadyToSend,
    JobRendered,
    QueueChanged,
)
from bot.domain.frontend import (
    Button,
    ConnectingFrontend,
    Frontend,
    MaybeSent,
    OutgoingClip,
    Rejected,
    SendError,
    TooLarge,
    Unreachable,
    is_reachable,
)
from bot.domain.jobs import Action, Job, JobState
from bot.i18n import messages
from bot.moderation.clip_inspection import InspectionVerdict
from bot.pipeline.retry import (
    DISK_REFUSALS,
    retry_while_disk_refuses,
    simulated_store_failure,
    write_or_superseded,
)
from bot.pipeline.status_updates import StatusUpdates
from bot.pipeline.wake_up import WakeUp
from bot.store.store import Store, Superseded
from generation.clip import Clip
from generation.errors import CannotFit, ExplainedError
from generation.failpoint import FailPoint, pass_failpoint
from generation.media.size_estimate import LIMIT_MARGIN
from generation.models.common.preset import Preset
from generation.models.common.vocabulary import find_unknown_words
from generation.progress import Progress
from generation.request import Kind

__all__ = [
    "Button",
    "ConnectingFrontend",
    "Delivery",
    "Frontend",
    "MaybeSent",
    "OutgoingClip",
    "Rejected",
    "SendError",
    "TooLarge",
    "Unreachable",
    "clip_buttons",
]

log = structlog.get_logger(__name__)


FitClip = Callable[[Clip, int], Awaitable[Clip]]
"""Returns a copy of the clip with at most so many bytes; raises GenerationError."""

PersonalizeClip = Callable[[Job, Clip, int], Awaitable[Clip]]
"""Returns the clip as this user wants it, within so many bytes; 0 means no limit."""

InspectClip = Callable[[Job], Awaitable[InspectionVerdict]]
"""Decides from the frames of a clip whether it is sent, sent as a spoiler, held or refused."""

MAX_CONCURRENT_SENDS = 4
MAX_SHRINKS = 2
"""How often a clip is shrunk because a chat refused a size below its own limit."""
SHRINK_FACTOR = 0.8
RETRY_DELAYS = (2.0, 10.0, 60.0, 300.0)
"""Seconds between tries to reach a chat; the last one repeats until a try succeeds."""
POLL_INTERVAL = 2.0


class Delivery:
    """Sends rendered clips to their chats, and shows the progress and the end of all other jobs."""

    def __init__(  # noqa: PLR0913  (all are passed by keyword, by the composition root)
        self,
        *,
        store: Store,
        frontends: Mapping[str, Frontend],
        fit: FitClip,
        events: EventBus,
        inspect: InspectClip | None = None,
        personalize: PersonalizeClip | None = None,
        presets: Mapping[str, Preset] = MappingProxyType({}),
        retry_delays: Sequence[float] = RETRY_DELAYS,
    ) -> None:
        self._store = store
        self._presets = presets
        self._frontends = frontends
        self._fit = fit
        self._inspect = inspect
        self._personalize = personalize
        self._events = events
        self._retry_delays = retry_delays
        self.poll_interval = POLL_INTERVAL
        self._wake_up = WakeUp()
        self._sends: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._pauses: dict[int, _RetryPause] = {}
        self._status_updates = StatusUpdates(store, frontends)
        self._closing = False
        for wakes in (JobRendered, JobReadyToSend, QueueChanged):
            events.subscribe(wakes, lambda _: self.wake())
        events.subscribe(JobProgressed, lambda event: self.show_progress(event.job, event.progress))
        events.subscribe(JobHeld, lambda event: self.show_final_status(event.job))
        events.subscribe(
            JobEnded, lambda event: self.show_final_status(event.job, perhaps_shown=event.perhaps_shown)
        )

    @property
    def last_idle_at(self) -> float | None:
        """When `run` last waited for work, on the clock of the event loop; None before that."""
        return self._wake_up.last_wait_at

    def wake(self) -> None:
        """Look for clips to send."""
        self._wake_up.set()

    async def run(self) -> None:
        """Deliver until cancelled. A send that has begun may finish, so that its outcome is known."""
        readiness_watchers = [
            asyncio.create_task(self._wake_when_ready(frontend))
            for frontend in self._frontends.values()
            if isinstance(frontend, ConnectingFrontend)
        ]
        try:
            while True:
                for job in await retry_while_disk_refuses(self._store.undelivered):
                    if self._can_start(job):
                        self._start(job)
                await self._status_updates.send_outbox()
                await self._wake_up.wait(self.poll_interval)
        finally:
            for task in readiness_watchers:
                task.cancel()
            await self.wait_for_sends()

    async def wait_for_sends(self) -> None:
        """Wait for the current sends and status messages. Cancelling the wait does not cancel them."""
        if self._sends:
            await asyncio.wait([task for _, task in self._sends.values()])
        await self._status_updates.wait_for_sends()

    async def send_remaining(self) -> None:
        """Send every rendered clip whose chat can be reached; then start no more sends."""
        try:
            while ready := [
                job for job in await retry_while_disk_refuses(self._store.undelivered) if self._can_start(job)
            ]:
                for job in ready:
                    if self._can_start(job):
                        self._start(job)
                await self.wait_for_sends()
        finally:
            self._closing = True

    def show_progress(self, job: Job, progress: Progress) -> None:
        self._status_updates.show(
            job, messages.progress_status(job, progress, job.requester.language), progress
        )

    def show_final_status(self, job: Job, *, perhaps_shown: bool = False) -> None:
        """Show how a job ended that has no clip to show."""
        self._status_updates.show_final(job, perhaps_shown=perhaps_shown)

    async def _wake_when_ready(self, frontend: ConnectingFrontend) -> None:
        await frontend.ready.wait()
        self._status_updates.check_outbox_now()
        self.wake()

    def _can_start(self, job: Job) -> bool:
        """Limit the sends of each platform, so that one that does not answer blocks no other."""
        pause = self._pauses.get(job.id)
        frontend = self._frontends.get(job.reply_to.platform)
        if self._closing or frontend is None or not is_reachable(frontend):
            return False
        if job.id in self._sends or (pause is not None and asyncio.get_running_loop().time() < pause.until):
            return False
        return (
            sum(platform == job.reply_to.platform for platform, _ in self._sends.values())
            < MAX_CONCURRENT_SENDS
        )

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._deliver_job(job), name=f"delivery {job.id}")
        self._sends[job.id] = (job.reply_to.platform, task)
        task.add_done_callback(lambda _: self._finished(job.id))

    def _finished(self, job_id: int) -> None:
        del self._sends[job_id]
        self.wake()

    async def _deliver_job(self, job: Job) -> None:
        """Inspect, fit and send. Every error that reaches the handlers came before anything was sent."""
        with structlog.contextvars.bound_contextvars(job=job.id):
            try:
                verdict = await self._inspect(job) if self._inspect else InspectionVerdict.CLEAR
                if verdict is InspectionVerdict.HOLD:
                    await self._hold(job)
                elif verdict is InspectionVerdict.REFUSE:
                    await self._fail(job, ClipNotAllowed())
                else:
                    await self._send_with_shrinking(
                        job, self._frontends[job.reply_to.platform], verdict=verdict
                    )
            except DISK_REFUSALS as error:
                log.warning("not sent yet", reason=str(error))
                self._schedule_retry(job)
            except Superseded as gone:
                log.info("no longer to be sent", state=gone.state)
            except ExplainedError as error:
                log.warning("cannot be delivered", exc_info=error)
                await self._fail(job, error)
            except Exception:  # one delivery must not stop the others; the clip is kept
                log.exception("delivery failed unexpectedly")
                await self._fail(job, CannotDeliver(job.reply_to.platform))

    async def _hold(self, job: Job) -> None:
        hold_clip = self._store.hold_clip
        held = await write_or_superseded(
            self._store, job.id, lambda: hold_clip(job.id, NeedsReview()), JobState.HELD
        )
        if held is not None:
            self._events.publish(JobHeld(held))

    async def _send_with_shrinking(self, job: Job, frontend: Frontend, *, verdict: InspectionVerdict) -> None:
        """Send the clip, shrunk if the chat refuses its size. An unreachable chat is retried later."""
        limit, shrinks = job.reply_to.limit, 0
        while True:
            outgoing = await self._prepare_clip(job, limit, spoiler=verdict is InspectionVerdict.SPOILER)
            await self._mark_sending(job)
            try:
                message = await self._send(frontend, outgoing)
            except TooLarge as refusal:
                await self._mark_not_sent(job)
                shrinks += 1
                if shrinks > MAX_SHRINKS:
                    raise CannotFit(limit, outgoing.clip.size) from refusal
                limit = refusal.limit or int(outgoing.clip.size * SHRINK_FACTOR)
            except SendError as error:
                await self._handle_send_error(job, frontend, error)
                return
            else:
                await self._mark_delivered(job, frontend, message)
                return

    async def _mark_sending(self, job: Job) -> None:
        """Record the send before it begins: after a crash from here on, its outcome is uncertain."""
        try:
            pass_failpoint(FailPoint.RECORD_INTENT, simulated_store_failure)
            await self._store.begin_delivery(job.id)
            pass_failpoint(FailPoint.INTENT_RECORDED, simulated_store_failure)
        except DISK_REFUSALS:
            await self._mark_not_sent(job)
            raise

    async def _send(self, frontend: Frontend, outgoing: OutgoingClip) -> str:
        """Return the id of the message; raises SendError."""
        try:
            pass_failpoint(FailPoint.SEND)
            return await frontend.send_clip(outgoing)
        except SendError:
            raise
        except Exception as error:  # the clip may have been sent before it
            log.exception("a send failed unexpectedly")
            raise MaybeSent(type(error).__name__) from error

    async def _mark_delivered(self, job: Job, frontend: Frontend, message: str) -> None:
        """Record that the chat has the clip; retried for as long as the disk refuses the write."""

        async def write() -> Job:
            pass_failpoint(FailPoint.SENT, simulated_store_failure)
            done = await self._store.mark_delivered(job.id, message)
            pass_failpoint(FailPoint.DELIVERY_RECORDED, simulated_store_failure)
            return done

        done = await write_or_superseded(self._store, job.id, write, JobState.DELIVERED)
        self._pauses.pop(job.id, None)
        if done is None:
            return
        log.info("delivered", message=message)
        self._events.publish(JobDelivered(done))
        try:
            await frontend.after_delivery(done)
        except Exception:  # the clip has arrived; only the status message is affected
            log.exception("clean-up after a delivery failed")

    async def _handle_send_error(self, job: Job, frontend: Frontend, error: SendError) -> None:
        log.warning("not sent", kind=type(error).__name__, reason=str(error))
        if isinstance(error, Rejected):
            await self._fail(job, CannotDeliver(frontend.name))
        elif isinstance(error, MaybeSent) and not frontend.deduplicates:
            done = await write_or_superseded(
                self._store, job.id, lambda: self._store.mark_uncertain(job.id), JobState.UNCERTAIN
            )
            if done is not None:
                self._events.publish(JobEnded(done))
        else:
            await self._mark_not_sent(job)
            self._schedule_retry(job)

    async def _mark_not_sent(self, job: Job) -> None:
        """Return the job to the state before the send: it is certain that nothing was sent."""
        await write_or_superseded(
            self._store, job.id, lambda: self._store.mark_not_sent(job.id), JobState.RENDERED
        )

    async def _fail(self, job: Job, error: ExplainedError) -> None:
        delivery_failed = self._store.mark_undeliverable
        done = await write_or_superseded(
            self._store, job.id, lambda: delivery_failed(job.id, error), JobState.FAILED
        )
        self._pauses.pop(job.id, None)
        if done is not None:
            self._events.publish(JobEnded(done))

    def _schedule_retry(self, job: Job) -> None:
        tries = self._pauses[job.id].tries + 1 if job.id in self._pauses else 0
        pause = self._retry_delays[min(tries, len(self._retry_delays) - 1)]
        self._pauses[job.id] = _RetryPause(tries, asyncio.get_running_loop().time() + pause)

    async def _prepare_clip(self, job: Job, limit: int, *, spoiler: bool) -> OutgoingClip:
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        pass_failpoint(FailPoint.FIT)
        if not await asyncio.to_thread(job.clip.path.is_file):
            raise ClipGone(job.id)
        clip = (
            await self._fit(job.clip, limit) if limit and job.clip.size > limit * LIMIT_MARGIN else job.clip
        )
        pass_failpoint(FailPoint.FITTED)
        if self._personalize is not None:
            clip = await self._personalize(job, clip, limit)
        announcement = await self._store.announcement()
        prompt_note = self._unknown_words_note(job)
        text = "\n".join(
            filter(None, (messages.clip_caption(job, job.requester.language), prompt_note, announcement))
        )
        return OutgoingClip(
            job=job,
            clip=clip,
            text=text,
            buttons=clip_buttons(job),
            announcement=announcement,
            spoiler=spoiler,
            nonce=f"matinee-{job.id}",
            prompt_note=prompt_note,
        )

    def _unknown_words_note(self, job: Job) -> str:
        preset = self._presets.get(job.request.model)
        if preset is None or job.request.kind is Kind.MUSIC:
            return ""
        unknown = find_unknown_words(preset, job.request.prompt)
        return messages.unknown_words_text(unknown, job.requester.language, brief=True) if unknown else ""


def clip_buttons(job: Job) -> tuple[Button, ...]:
    language = job.requester.language
    return tuple(
        Button(messages.translate(f"button.{verb}", language), Action(verb, job.id))
        for verb in ("reroll", "score")
    )


@dataclass(frozen=True, slots=True)
class _RetryPause:
    tries: int
    until: float
