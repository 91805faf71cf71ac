"""Pieces of music that wait for the same maker are composed together, in one batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from generation.clip import Audio
from generation.errors import BadAudio
from generation.music.common.registry import MusicMaker
from generation.progress import OnStep
from generation.rendering.worker_thread import WorkerThread
from generation.request import Music

log = logging.getLogger(__name__)
MAX_BATCH = 8
SAFE_DTYPE = "float32"

LoadMaker = Callable[[str], MusicMaker]
"""Returns the maker of this name, loading it if necessary; called in the music thread."""


@runtime_checkable
class BatchMusicMaker(Protocol):
    """A music maker that composes several pieces of equal length at once, each as it would alone."""

    def compose_batch(
        self, jobs: Sequence[Music], samples: int, rate: int, on_step: OnStep
    ) -> list[Audio]: ...


@dataclass(eq=False, slots=True)
class _PendingPiece:
    music: Music
    samples: int
    on_step: OnStep
    audio: Audio | None = None
    run_alone: bool = False  # a batch that contained it failed

    def can_share_batch(self, other: _PendingPiece) -> bool:
        mine, theirs = (self.music.maker, self.samples), (other.music.maker, other.samples)
        return mine == theirs and not (self.run_alone or other.run_alone)


class MusicBatcher:
    """The caller whose turn it is composes a batch of all matching pieces that wait.

    A cancelled caller ends its batch; the others then compose their pieces themselves.
    """

    def __init__(
        self, thread: WorkerThread, load_maker: LoadMaker, rate: int, load_safe_maker: LoadMaker | None = None
    ) -> None:
        """`load_safe_maker` replaces a maker by itself in float32, after it made unusable music."""
        self._thread = thread
        self._load_maker = load_maker
        self._load_safe_maker = load_safe_maker
        self._rate = rate
        self._pending: list[_PendingPiece] = []

    async def compose(self, music: Music, samples: int, on_step: OnStep) -> Audio:
        piece = _PendingPiece(music, samples, on_step)
        self._pending.append(piece)
        try:
            async with self._thread.exclusive():
                while piece.audio is None:
                    await self._run_batch(piece)
            return piece.audio
        finally:
            self._pending.remove(piece)

    async def _run_batch(self, piece: _PendingPiece) -> None:
        others = [other for other in self._pending if other is not piece and other.can_share_batch(piece)]
        batch = [piece, *others][:MAX_BATCH]

        def report_step(done: int, total: int) -> None:
            for member in batch:
                if member in self._pending:
                    member.on_step(done, total)

        try:
            audios = await self._thread.run(lambda on_step: self._compose_batch(batch, on_step), report_step)
        except Exception:
            if len(batch) == 1:
                raise
            for member in batch:  # composed alone, only the piece that caused the error fails
                member.run_alone = True
            return
        for member, audio in zip(batch, audios, strict=False):
            member.audio = audio

    def _compose_batch(self, batch: Sequence[_PendingPiece], on_step: OnStep) -> list[Audio]:
        """Compose the whole batch, or only its first piece if the maker cannot compose batches.

        After BadAudio compose once more in float32; the maker then stays in float32.
        """
        maker = self._load_maker(batch[0].music.maker)
        try:
            return self._compose_with(maker, batch, on_step)
        except BadAudio:
            if self._load_safe_maker is None or getattr(maker, "dtype", SAFE_DTYPE) == SAFE_DTYPE:
                raise
        name = batch[0].music.maker
        log.warning('%s made unusable music; it now uses float32. options.dtype = "float32" sets it', name)
        del maker  # it is replaced: two of them need not be in memory
        return self._compose_with(self._load_safe_maker(name), batch, on_step)

    def _compose_with(
        self, maker: MusicMaker, batch: Sequence[_PendingPiece], on_step: OnStep
    ) -> list[Audio]:
        first = batch[0]
        if len(batch) > 1 and isinstance(maker, BatchMusicMaker):
            music = [piece.music for piece in batch]
            return maker.compose_batch(music, first.samples, self._rate, on_step)
        return [maker.compose(first.music, first.samples, self._rate, on_step)]
