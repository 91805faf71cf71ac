"""What every room of the tests finds: one ffmpeg for all machines, and plain logs."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from bot.runtime import event_loop

ORIGINAL_PATH_VARIABLE = "MACHINES_OWN_PATH"
"""The variable that keeps the PATH as it was, for those who try the machine's own ffmpeg too."""
FFMPEG_FOLDER = pytest.StashKey[Path]()

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # how quick something is, a busy machine cannot tell


def pytest_configure(config: pytest.Config) -> None:
    """The suite says the same everywhere: it runs on the carried ffmpeg, which also starts far sooner.

    A distribution's is linked against a hundred libraries, and hundreds of tests start one or two.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # whoever started this one has done so
    os.environ[ORIGINAL_PATH_VARIABLE] = os.environ["PATH"]
    try:
        carried = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # there is none for this kind of machine
        return
    config.stash[FFMPEG_FOLDER] = place = Path(tempfile.mkdtemp(prefix="matinee-tests-"))
    (place / "ffmpeg").symlink_to(carried)
    os.environ["PATH"] = f"{place}{os.pathsep}{os.environ[ORIGINAL_PATH_VARIABLE]}"


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: many tests wait for a deadline or for another process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 2


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"ours": event_loop.new_event_loop}


def pytest_unconfigure(config: pytest.Config) -> None:
    if FFMPEG_FOLDER in config.stash:
        shutil.rmtree(config.stash[FFMPEG_FOLDER])


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Structlog's own default draws tracebacks with every local value, which takes seconds each."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
