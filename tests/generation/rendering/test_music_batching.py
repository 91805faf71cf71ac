"""Music that waits for the same player is played in one batch, and nobody pays for another's trouble."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import numpy as np
import pytest

from generation.clip import Score
from generation.errors import ScoreFailed
from generation.progress import OnStep
from generation.rendering.music_batching import Ensemble
from generation.rendering.worker_thread import Hand
from generation.request import Music

RATE = 100


class Player:
    """Plays a piece's seed as its sound, and keeps whom it played for; waits for the baton at each step."""

    def __init__(self) -> None:
        self.baton, self.began = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[tuple[int, ...]] = []
        self.hates: int | None = None

    def score(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Score:
        return self.score_together([music], samples, rate, on_step)[0]

    def score_together(self, jobs: Sequence[Music], samples: int, rate: int, on_step: OnStep) -> list[Score]:
        self.batches.append(tuple(job.seed for job in jobs))
        self.began.release()
        self.baton.acquire()
        on_step(1, 1)
        if any(job.seed == self.hates for job in jobs):
            raise ScoreFailed("player", "hated it")
        return [Score(np.full((samples, 2), job.seed, np.float32), rate) for job in jobs]

    def close(self) -> None: ...


class Soloist:
    """Plays one at a time."""

    def __init__(self, player: Player) -> None:
        self.score, self.close = player.score, player.close


class Hall:
    def __init__(self) -> None:
        self.player = Player()
        self.hand = Hand("scorer")
        makers = {"player": self.player, "soloist": Soloist(self.player)}
        self.ensemble = Ensemble(self.hand, makers.__getitem__, RATE)  # type: ignore[arg-type]  # nobody loads here
        self.steps: dict[int, int] = {}

    def ask(self, seed: int, maker: str = "player", samples: int = 10) -> asyncio.Task[Score]:
        def step(done: int, _: int) -> None:
            self.steps[seed] = done

        music = Music(genre="x", maker=maker, seed=seed)
        return asyncio.create_task(self.ensemble.play(music, samples, step))

    async def playing(self) -> None:
        await asyncio.to_thread(self.player.began.acquire)


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    made = Hall()
    yield made
    made.player.baton.release(100)
    made.hand.close()


async def settled() -> None:
    """Every task that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def heard(*asked: asyncio.Task[Score]) -> list[int]:
    return [int(score.samples[0, 0]) for score in await asyncio.gather(*asked)]


async def test_those_who_wait_are_played_for_in_one_batch_each_with_their_own(hall: Hall) -> None:
    first = hall.ask(1)
    await hall.playing()
    rest = [hall.ask(seed) for seed in (2, 3, 4)]
    await settled()
    hall.player.baton.release(2)
    assert await heard(first, *rest) == [1, 2, 3, 4]
    assert hall.player.batches == [(1,), (2, 3, 4)]
    assert hall.steps == {1: 1, 2: 1, 3: 1, 4: 1}


async def test_other_lengths_and_other_makers_go_by_themselves(hall: Hall) -> None:
    first = hall.ask(1)
    await hall.playing()
    rest = [hall.ask(2), hall.ask(3, samples=20), hall.ask(4, "soloist"), hall.ask(5, "soloist"), hall.ask(6)]
    await settled()
    hall.player.baton.release(5)
    assert await heard(first, *rest) == [1, 2, 3, 4, 5, 6]
    assert hall.player.batches == [(1,), (2, 6), (3,), (4,), (5,)]


async def test_a_batch_that_fails_is_played_one_by_one_and_only_the_guilty_one_is_told(hall: Hall) -> None:
    hall.player.hates = 3
    first = hall.ask(1)
    await hall.playing()
    rest = [hall.ask(seed) for seed in (2, 3, 4)]
    await settled()
    hall.player.baton.release(5)
    assert await heard(first, rest[0], rest[2]) == [1, 2, 4]
    with pytest.raises(ScoreFailed):
        await rest[1]
    assert hall.player.batches == [(1,), (2, 3, 4), (2,), (3,), (4,)]


async def test_when_the_one_who_leads_leaves_the_others_are_still_played_for(hall: Hall) -> None:
    first = hall.ask(1)
    await hall.playing()
    rest = [hall.ask(seed) for seed in (2, 3, 4)]
    await settled()
    hall.player.baton.release(1)
    await hall.playing()
    rest[0].cancel()
    await settled()
    hall.player.baton.release(2)
    assert await heard(first, *rest[1:]) == [1, 3, 4]
    with suppress(asyncio.CancelledError):
        await rest[0]
    assert rest[0].cancelled()
    assert hall.player.batches == [(1,), (2, 3, 4), (3, 4)]


async def test_who_leaves_a_batch_of_another_stops_nobody(hall: Hall) -> None:
    first = hall.ask(1)
    await hall.playing()
    rest = [hall.ask(seed) for seed in (2, 3)]
    await settled()
    hall.player.baton.release(1)
    await hall.playing()
    rest[1].cancel()
    hall.player.baton.release(1)
    assert await heard(first, rest[0]) == [1, 2]
    assert hall.player.batches == [(1,), (2, 3)]
    assert 3 not in hall.steps
