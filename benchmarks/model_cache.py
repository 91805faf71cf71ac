"""What does keeping a model save? A second job and a re-roll, against loading the model for every job."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Report
from generation import Request
from generation.models.common.model_cache import Residents
from generation.models.common.preset import Preset
from generation.models.common.registry import Plan, families, model
from generation.models.ltx import Ltx

ROUNDS = 5


@model("counted")
class Counted(Ltx):
    """LTX that counts its loads, its text encoder's calls and the seconds that go into painting itself."""

    loads = 0
    words = 0
    painting = 0.0

    @classmethod
    def load(cls, preset: Preset, plan: Plan) -> Any:
        cls.loads += 1
        held = super().load(preset, plan)
        held.pipe.text_encoder.register_forward_hook(cls._read)
        return held

    @classmethod
    def _read(cls, *_: object) -> None:
        cls.words += 1

    def paint(self, request: Request, on_step: Any) -> Any:
        start = time.perf_counter()
        frames = super().paint(request, on_step)
        type(self).painting += time.perf_counter() - start
        return frames


def job(residents: Residents, preset: Preset, request: Request) -> tuple[float, bytes]:
    """Seconds beside the painting, and the picture."""
    Counted.painting = 0.0
    start = time.perf_counter()
    frames = residents.paint(preset, request, lambda *_: None)
    return time.perf_counter() - start - Counted.painting, frames.pixels.tobytes()


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from tests.generation.models.conftest import asked, build  # noqa: PLC0415  (torch, after the threads are set)

    assert "counted" in families()
    report = Report("What does a resident model save?")
    with tempfile.TemporaryDirectory() as folder:
        preset = replace(build("ltx", Path(folder)), family="counted")
        residents = Residents()
        job(residents, preset, asked("ltx", seed=0))
        Counted.loads = Counted.words = 0
        rolls = [job(residents, preset, asked("ltx", seed=seed)) for seed in (*range(ROUNDS), 0)]
        loads, words = Counted.loads, Counted.words
        fresh = []
        for seed in range(ROUNDS):
            residents.close()
            fresh.append(job(residents, preset, asked("ltx", seed=seed)))
        residents.close()
    kept, loaded = median(seconds for seconds, _ in rolls), median(seconds for seconds, _ in fresh)
    report.table(
        ("way", "milliseconds beside the painting"),
        [("resident", f"{kept * 1e3:.3f}"), ("loaded for every job", f"{loaded * 1e3:.1f}")],
    )
    same = all(roll[1] == again[1] for roll, again in zip(rolls, fresh, strict=False))
    report.figures = {"resident_s": kept, "loaded_s": loaded, "rounds": ROUNDS}
    report.goal("loads by later jobs", loads, "==", 0)
    report.goal("text encoder calls by re-rolls", words, "==", 0)
    report.goal(
        "same seed, same bits, also after a reload", float(same and rolls[0][1] == rolls[-1][1]), "==", 1
    )
    report.goal("reload / resident overhead", loaded / kept, ">=", 10)
    report.finish()


if __name__ == "__main__":
    main()
