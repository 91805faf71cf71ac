"""Shared by all tests: one ffmpeg for all machines, and plain logs."""

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
"""The variable with the original PATH, for tests that also use the system's ffmpeg."""
FFMPEG_FOLDER = pytest.StashKey[Path]()

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # no deadlines: a busy machine would miss them


def pytest_configure(config: pytest.Config) -> None:
    """Use the bundled ffmpeg, so that results are the same everywhere.

    It also starts faster than a distribution's, which links many libraries; hundreds of tests start one.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the main process has done so
    os.environ[ORIGINAL_PATH_VARIABLE] = os.environ["PATH"]
    try:
        bundled = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # none for this platform
        return
    config.stash[FFMPEG_FOLDER] = folder = Path(tempfile.mkdtemp(prefix="matinee-tests-"))
    (folder / "ffmpeg").symlink_to(bundled)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ[ORIGINAL_PATH_VARIABLE]}"


def pytest_xdist_auto_num_workers() -> int:
    """Two more than the cores: many tests wait for a timeout or another process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 2


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"ours": event_loop.new_event_loop}


def pytest_unconfigure(config: pytest.Config) -> None:
    if FFMPEG_FOLDER in config.stash:
        shutil.rmtree(config.stash[FFMPEG_FOLDER])


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Structlog's default renders tracebacks with every local variable, which takes seconds each."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
