"""The worker asks for the loaded model's jobs first, within what the operator allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.jobs import ReplyTo
from bot.pipeline.delivery import Delivery
from bot.pipeline.worker import Worker
from generation.request import Wish
from tests.bot.app_harness import PRESETS, halved, house_of, running, until, who
from tests.fakes.engine import FakeEngine
from tests.fakes.frontend import FakeFrontend

ASKED = ("testcard", "pocket", "testcard", "pocket")


async def painted(folder: Path, *, affinity: int) -> list[str]:
    """The models in the order in which an engine with one slot got them."""
    engine = FakeEngine(1)
    async with house_of(folder) as (store, studio):
        delivery = Delivery(store=store, frontends={"fake": FakeFrontend()}, fit=halved)
        clips = folder / "clips"
        worker = Worker(
            store=store, engine=engine, presets=PRESETS, clips=clips, delivery=delivery, affinity=affinity
        )
        for number, model in enumerate(ASKED):
            wish = Wish(prompt="a fox", model=model)
            await studio.submit(wish, who(f"p{number}"), ReplyTo(platform="fake", chat="c"))
        order: list[str] = []
        async with running(worker.run()):
            for _ in ASKED:
                label = await until(lambda: next(iter(engine.waiting()), None))
                order.append(engine.orders[label][0].request.model)
                engine.finish(label)
    return order


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [(0, ["testcard", "pocket", "testcard", "pocket"]), (2, ["testcard", "testcard", "pocket", "pocket"])],
)
async def test_jobs_of_the_loaded_model_are_gathered_if_the_operator_allows(
    tmp_path: Path, affinity: int, expected: list[str]
) -> None:
    assert await painted(tmp_path, affinity=affinity) == expected
