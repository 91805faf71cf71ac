"""A fake chat that records statuses and clips, and fails as the test configures it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

from bot.domain.jobs import Job, JobState
from bot.pipeline.delivery import MaybeSent, OutgoingClip, SendError
from generation.progress import Progress


@dataclass
class FakeFrontend:
    name: str = "fake"
    deduplicates: bool = False
    clip_counts: Counter[int] = field(default_factory=Counter)  # clips visible in the chat, by job
    statuses: list[tuple[int, JobState, str]] = field(default_factory=list)
    failures: deque[SendError] = field(default_factory=deque)
    outgoing_clips: list[OutgoingClip] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    quiet_seconds: float | None = None  # seconds without updates that it asks for after progress

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        self.statuses.append((job.id, job.state, text))
        return self.quiet_seconds if progress else None

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        self.outgoing_clips.append(outgoing)
        failure = self.failures.popleft() if self.failures else None
        if failure is None or isinstance(failure, MaybeSent):
            self._show(outgoing)
        if failure is not None:
            raise failure
        return f"message {outgoing.job.id}"

    async def after_delivery(self, job: Job) -> None:
        assert job.state is JobState.DELIVERED

    def _show(self, outgoing: OutgoingClip) -> None:
        if not (self.deduplicates and outgoing.nonce in self.nonces):
            self.clip_counts[outgoing.job.id] += 1
        self.nonces.add(outgoing.nonce)
