"""A chat of the simplest kind: it keeps what it was told and sent, and fails as the test says."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

from bot.domain.jobs import Job, State
from bot.pipeline.delivery import Doubtful, Parcel, SendError
from generation.progress import Progress


@dataclass
class FakeFrontend:
    name: str = "fake"
    deduplicates: bool = False
    shown: Counter[int] = field(default_factory=Counter)  # how often each job's clip can be seen in the chat
    said: list[tuple[int, State, str]] = field(default_factory=list)
    failures: deque[SendError] = field(default_factory=deque)
    parcels: list[Parcel] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    rest: float | None = None  # how long it wants to hear no more after a word of progress

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        self.said.append((job.id, job.state, text))
        return self.rest if progress else None

    async def deliver(self, parcel: Parcel) -> str:
        self.parcels.append(parcel)
        failure = self.failures.popleft() if self.failures else None
        if failure is None or isinstance(failure, Doubtful):
            self._show(parcel)
        if failure is not None:
            raise failure
        return f"message {parcel.job.id}"

    async def delivered(self, job: Job) -> None:
        assert job.state is State.DELIVERED

    def _show(self, parcel: Parcel) -> None:
        if not (self.deduplicates and parcel.nonce in self.nonces):
            self.shown[parcel.job.id] += 1
        self.nonces.add(parcel.nonce)
