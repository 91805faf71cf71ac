"""Jobs for the tests of what the chats share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.jobs import Job, JobState, ReplyTo, Requester
from generation.request import Kind, Music, Request

MakeJob = Callable[[Kind], Job]
MUSIC = Music(genre="lofi", maker="band", mood="calm", bpm=82.0, instruments=("piano", "bass"), seed=3)


@pytest.fixture
def make_job() -> MakeJob:
    def make(kind: Kind) -> Job:
        request = Request(
            prompt="a fox", kind=kind, model="testcard", width=96, height=64, frames=50, fps=12.0,
            seed=7, steps=2, guidance=1.5, music=MUSIC,
        )  # fmt: skip
        return Job(
            id=17,
            request=request,
            requester=Requester(platform="chat", user="1"),
            reply_to=ReplyTo(platform="chat", chat="5"),
            state=JobState.RENDERED,
            cost=1,
        )

    return make
