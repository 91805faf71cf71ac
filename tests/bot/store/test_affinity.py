"""The worker claims jobs of the loaded model first, within the operator's limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.request import Wish
from tests.bot.app_harness import open_app, running_tasks, wait_until
from tests.factories import make_reply_to, make_viewer
from tests.fakes.engine import FakeEngine

REQUESTED_MODELS = ("testcard", "pocket", "testcard", "pocket")


async def models_in_engine_order(folder: Path, *, affinity: int) -> list[str]:
    """The models in the order in which an engine with one slot received them."""
    engine = FakeEngine(1, manual=True)
    async with open_app(folder, engine=engine, affinity=affinity) as app:
        for number, model in enumerate(REQUESTED_MODELS):
            wish = Wish(prompt="a fox", model=model)
            await app.studio.submit(wish, make_viewer(f"p{number}"), make_reply_to())
        order: list[str] = []
        async with running_tasks(app.worker.run()):
            for _ in REQUESTED_MODELS:
                label = await wait_until(lambda: next(iter(engine.unfinished()), None))
                order.append(engine.orders[label][0].request.model)
                engine.finish(label)
    return order


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [(0, ["testcard", "pocket", "testcard", "pocket"]), (2, ["testcard", "testcard", "pocket", "pocket"])],
)
async def test_jobs_of_the_loaded_model_go_first_if_allowed(
    tmp_path: Path, affinity: int, expected: list[str]
) -> None:
    assert await models_in_engine_order(tmp_path, affinity=affinity) == expected
