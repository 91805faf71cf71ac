"""A short fuzz run with a fixed seed; every parser has a target. The long run is `python -m tests.fuzz`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from tests.fuzz import parsers
from tests.fuzz.all_targets import TARGETS
from tests.fuzz.run import Runner
from tests.fuzz.target import Call, Target, make_input

INPUTS, CHILD_INPUTS = 15, 4
SECONDS = 20.0
COVERED = [name for target in TARGETS for name in target.covers]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_every_input_gets_an_answer(target: Target) -> None:
    most = CHILD_INPUTS if "child" in target.name else INPUTS
    result = await Runner(target, "suite").run(seconds=SECONDS, most=most)
    assert result.inputs > 0
    assert [(one.reason, one.seed, one.trace) for one in result.findings] == []


def test_every_parser_has_a_target() -> None:
    """A new parser needs a target in tests/fuzz/targets/, or a reason in tests/fuzz/parsers.py."""
    assert parsers.without_target(COVERED) == []
    assert parsers.unknown_names(COVERED) == []


def test_a_parser_without_a_target_is_noticed() -> None:
    assert "generation.media.format_checks:check_mp4" in parsers.without_target(
        name for name in COVERED if "check_mp4" not in name
    )


def test_a_seed_always_makes_the_same_input() -> None:
    for target in TARGETS:
        assert make_input(target, target.seeds(), "a:1") == make_input(target, target.seeds(), "a:1")


def _fails(problem: str) -> Target:
    """A target whose parser has this problem for inputs with a 7."""

    def call(data: bytes) -> None:
        if b"7" in data and problem == "raises":
            raise ZeroDivisionError
        if b"7" in data and problem == "logs":
            structlog.get_logger().error("failed", exc_info=ZeroDivisionError())
        while b"7" in data and problem == "hangs":
            pass

    @asynccontextmanager
    async def open_(_: Path) -> AsyncIterator[Call]:
        yield call

    return Target(
        name=problem, shape="text", seeds=lambda: [b"1234567890"], open=open_, covers=(), seconds=0.02
    )


@pytest.mark.parametrize("problem", ["raises", "logs", "hangs"])
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGALRM")
async def test_an_unhandled_input_is_found_and_made_small(problem: str) -> None:
    result = await Runner(_fails(problem), "suite").run(seconds=5, most=20)
    assert result.unhandled > 0
    assert result.findings[0].data == b"7"
