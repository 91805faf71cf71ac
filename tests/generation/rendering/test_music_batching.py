"""Pieces for the same maker are composed in one batch; errors and cancellation affect one piece only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import numpy as np
import pytest

from generation.clip import Audio
from generation.errors import MusicFailed
from generation.progress import OnStep
from generation.rendering.music_batching import MusicBatcher
from generation.rendering.worker_thread import WorkerThread
from generation.request import Music

RATE = 100


class FakeBatchMaker:
    """Composes the seed of a piece as its samples, records the batches and waits for `may_step`."""

    def __init__(self) -> None:
        self.may_step, self.started = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[tuple[int, ...]] = []
        self.fails_on_seed: int | None = None

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        return self.compose_batch([music], samples, rate, on_step)[0]

    def compose_batch(self, jobs: Sequence[Music], samples: int, rate: int, on_step: OnStep) -> list[Audio]:
        self.batches.append(tuple(job.seed for job in jobs))
        self.started.release()
        self.may_step.acquire()
        on_step(1, 1)
        if any(job.seed == self.fails_on_seed for job in jobs):
            raise MusicFailed("batch", "failed")
        return [Audio(np.full((samples, 2), job.seed, np.float32), rate) for job in jobs]

    def close(self) -> None: ...


class FakeSingleMaker:
    """A maker that cannot compose batches."""

    def __init__(self, maker: FakeBatchMaker) -> None:
        self.compose, self.close = maker.compose, maker.close


class Batching:
    def __init__(self) -> None:
        self.maker = FakeBatchMaker()
        self.thread = WorkerThread("music")
        makers = {"batch": self.maker, "single": FakeSingleMaker(self.maker)}
        self.batcher = MusicBatcher(self.thread, makers.__getitem__, RATE)  # type: ignore[arg-type]  # no loading here
        self.steps: dict[int, int] = {}

    def start(self, seed: int, maker: str = "batch", samples: int = 10) -> asyncio.Task[Audio]:
        def step(done: int, _: int) -> None:
            self.steps[seed] = done

        music = Music(genre="x", maker=maker, seed=seed)
        return asyncio.create_task(self.batcher.compose(music, samples, step))

    async def wait_until_started(self) -> None:
        await asyncio.to_thread(self.maker.started.acquire)


@pytest.fixture
async def batching() -> AsyncIterator[Batching]:
    batching = Batching()
    yield batching
    batching.maker.may_step.release(100)
    batching.thread.close()


async def run_ready_tasks() -> None:
    """Let every task run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def seeds_of(*tasks: asyncio.Task[Audio]) -> list[int]:
    return [int(audio.samples[0, 0]) for audio in await asyncio.gather(*tasks)]


async def test_waiting_pieces_share_one_batch_and_each_gets_its_own_audio(batching: Batching) -> None:
    first = batching.start(1)
    await batching.wait_until_started()
    rest = [batching.start(seed) for seed in (2, 3, 4)]
    await run_ready_tasks()
    batching.maker.may_step.release(2)
    assert await seeds_of(first, *rest) == [1, 2, 3, 4]
    assert batching.maker.batches == [(1,), (2, 3, 4)]
    assert batching.steps == {1: 1, 2: 1, 3: 1, 4: 1}


async def test_pieces_of_other_lengths_or_makers_are_not_batched_together(batching: Batching) -> None:
    first = batching.start(1)
    await batching.wait_until_started()
    rest = [
        batching.start(2),
        batching.start(3, samples=20),
        batching.start(4, "single"),
        batching.start(5, "single"),
        batching.start(6),
    ]
    await run_ready_tasks()
    batching.maker.may_step.release(5)
    assert await seeds_of(first, *rest) == [1, 2, 3, 4, 5, 6]
    assert batching.maker.batches == [(1,), (2, 6), (3,), (4,), (5,)]


async def test_a_failed_batch_is_retried_one_by_one_and_only_the_bad_piece_fails(batching: Batching) -> None:
    batching.maker.fails_on_seed = 3
    first = batching.start(1)
    await batching.wait_until_started()
    rest = [batching.start(seed) for seed in (2, 3, 4)]
    await run_ready_tasks()
    batching.maker.may_step.release(5)
    assert await seeds_of(first, rest[0], rest[2]) == [1, 2, 4]
    with pytest.raises(MusicFailed):
        await rest[1]
    assert batching.maker.batches == [(1,), (2, 3, 4), (2,), (3,), (4,)]


async def test_cancelling_the_first_of_a_batch_does_not_stop_the_others(batching: Batching) -> None:
    first = batching.start(1)
    await batching.wait_until_started()
    rest = [batching.start(seed) for seed in (2, 3, 4)]
    await run_ready_tasks()
    batching.maker.may_step.release(1)
    await batching.wait_until_started()
    rest[0].cancel()
    await run_ready_tasks()
    batching.maker.may_step.release(2)
    assert await seeds_of(first, *rest[1:]) == [1, 3, 4]
    with suppress(asyncio.CancelledError):
        await rest[0]
    assert rest[0].cancelled()
    assert batching.maker.batches == [(1,), (2, 3, 4), (3, 4)]


async def test_cancelling_a_later_piece_of_a_batch_stops_nothing_else(batching: Batching) -> None:
    first = batching.start(1)
    await batching.wait_until_started()
    rest = [batching.start(seed) for seed in (2, 3)]
    await run_ready_tasks()
    batching.maker.may_step.release(1)
    await batching.wait_until_started()
    rest[1].cancel()
    batching.maker.may_step.release(1)
    assert await seeds_of(first, rest[0]) == [1, 2]
    assert batching.maker.batches == [(1,), (2, 3)]
    assert 3 not in batching.steps
