"""The GPU benchmark runs with a tiny model on the CPU, so that it works when a GPU is available."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow


def test_the_script_runs_tiny() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--rounds", "1", "--steps", "3"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["ours"]["total"] > 0
    assert report["goals"] == []
