"""Jobs for the tests of what the chats share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.jobs import Job
from generation.request import Kind
from tests import factories
from tests.factories import make_music, make_reply_to, make_request, make_requester

MakeJob = Callable[[Kind], Job]
MUSIC = make_music(mood="calm", bpm=82.0, seed=3)


@pytest.fixture
def make_job() -> MakeJob:
    def build(kind: Kind) -> Job:
        request = make_request(
            "a fox", kind=kind, width=96, height=64, frames=50, fps=12.0, steps=2, guidance=1.5, music=MUSIC
        )
        return factories.make_job(
            request,
            requester=make_requester("1", platform="chat", name=""),
            reply_to=make_reply_to(platform="chat", chat="5"),
        )

    return build
