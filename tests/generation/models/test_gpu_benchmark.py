"""The GPU benchmark's code runs, on the processor and tiny, so that it is ready when a card is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.paths import ROOT


def test_the_script_runs_tiny() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--rounds", "1", "--steps", "3"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["ours"]["total"] > 0
    assert last["goals"] == []
