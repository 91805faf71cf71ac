"""Pieces of music that wait for the same player are played together, in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from generation.clip import Score
from generation.music.common.registry import ScoreMaker
from generation.progress import OnStep
from generation.rendering.worker_thread import Hand
from generation.request import Music

MOST = 8

Open = Callable[[str], ScoreMaker]
"""The maker of this name, loaded if it is not: called in the hand's thread."""


@runtime_checkable
class Together(Protocol):
    """A music maker that plays several pieces of one length at once, each as it would alone."""

    def score_together(
        self, jobs: Sequence[Music], samples: int, rate: int, on_step: OnStep
    ) -> list[Score]: ...


@dataclass(eq=False, slots=True)
class _Part:
    music: Music
    samples: int
    on_step: OnStep
    score: Score | None = None
    alone: bool = False  # a batch with it has failed

    def goes_with(self, other: _Part) -> bool:
        mine, theirs = (self.music.maker, self.samples), (other.music.maker, other.samples)
        return mine == theirs and not (self.alone or other.alone)


class Ensemble:
    """Whose turn it is plays for all who wait with a like piece.

    One who leaves takes only their own piece along: those who were played for play the rest themselves.
    """

    def __init__(self, hand: Hand, open_maker: Open, rate: int) -> None:
        self._hand = hand
        self._open = open_maker
        self._rate = rate
        self._waiting: list[_Part] = []

    async def play(self, music: Music, samples: int, on_step: OnStep) -> Score:
        part = _Part(music, samples, on_step)
        self._waiting.append(part)
        try:
            async with self._hand.turn():
                while part.score is None:
                    await self._lead(part)
            return part.score
        finally:
            self._waiting.remove(part)

    async def _lead(self, part: _Part) -> None:
        others = [one for one in self._waiting if one is not part and one.goes_with(part)]
        parts = [part, *others][:MOST]

        def tell(done: int, total: int) -> None:
            for one in parts:
                if one in self._waiting:
                    one.on_step(done, total)

        try:
            scores = await self._hand.do(lambda on_step: self._work(parts, on_step), tell)
        except Exception:
            if len(parts) == 1:
                raise
            for one in parts:  # who is to blame is found out alone, and nobody else pays for it
                one.alone = True
            return
        for one, score in zip(parts, scores, strict=False):
            one.score = score

    def _work(self, parts: Sequence[_Part], on_step: OnStep) -> list[Score]:
        """The scores of all parts, or of the first where the maker plays one at a time."""
        first = parts[0]
        maker = self._open(first.music.maker)
        if len(parts) > 1 and isinstance(maker, Together):
            music = [part.music for part in parts]
            return maker.score_together(music, first.samples, self._rate, on_step)
        return [maker.score(first.music, first.samples, self._rate, on_step)]
