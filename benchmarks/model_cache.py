"""What does keeping a model in memory save, against loading it for every job?"""

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
from generation.models.common.memory_plan import MemoryPlan
from generation.models.common.model_cache import ModelCache
from generation.models.common.preset import Preset
from generation.models.common.registry import families, picture_model
from generation.models.ltx import Ltx

ROUNDS = 5


@picture_model("counted")
class CountingLtx(Ltx):
    """LTX that counts its loads, its text encoder calls and the seconds of frame generation."""

    loads = 0
    encoder_calls = 0
    generation_seconds = 0.0

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> Any:
        cls.loads += 1
        model = super().load(preset, plan)
        model.pipe.text_encoder.register_forward_hook(cls._count_encoder_call)
        return model

    @classmethod
    def _count_encoder_call(cls, *_: object) -> None:
        cls.encoder_calls += 1

    def generate_frames(self, request: Request, on_step: Any) -> Any:
        start = time.perf_counter()
        frames = super().generate_frames(request, on_step)
        type(self).generation_seconds += time.perf_counter() - start
        return frames


def timed_job(cache: ModelCache, preset: Preset, request: Request) -> tuple[float, bytes]:
    """Seconds besides frame generation, and the frames."""
    CountingLtx.generation_seconds = 0.0
    start = time.perf_counter()
    frames = cache.generate_frames(preset, request, lambda *_: None)
    return time.perf_counter() - start - CountingLtx.generation_seconds, frames.pixels.tobytes()


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from tests.generation.models.conftest import build_preset, tiny_request  # noqa: PLC0415  (imports torch, which reads OMP_NUM_THREADS)

    assert "counted" in families()
    report = Report("What does a resident model save?")
    with tempfile.TemporaryDirectory() as folder:
        preset = replace(build_preset("ltx", Path(folder)), family="counted")
        cache = ModelCache()
        timed_job(cache, preset, tiny_request("ltx", seed=0))
        CountingLtx.loads = CountingLtx.encoder_calls = 0
        cached_runs = [
            timed_job(cache, preset, tiny_request("ltx", seed=seed)) for seed in (*range(ROUNDS), 0)
        ]
        loads, encoder_calls = CountingLtx.loads, CountingLtx.encoder_calls
        reloaded_runs = []
        for seed in range(ROUNDS):
            cache.close()
            reloaded_runs.append(timed_job(cache, preset, tiny_request("ltx", seed=seed)))
        cache.close()
    resident, loaded = (
        median(seconds for seconds, _ in cached_runs),
        median(seconds for seconds, _ in reloaded_runs),
    )
    report.table(
        ("way", "milliseconds besides frame generation"),
        [("resident", f"{resident * 1e3:.3f}"), ("loaded for every job", f"{loaded * 1e3:.1f}")],
    )
    same = all(cached[1] == reloaded[1] for cached, reloaded in zip(cached_runs, reloaded_runs, strict=False))
    report.figures = {"resident_s": resident, "loaded_s": loaded, "rounds": ROUNDS}
    report.goal("loads by later jobs", loads, "==", 0)
    report.goal("text encoder calls by re-rolls", encoder_calls, "==", 0)
    report.goal(
        "same seed, same bits, also after a reload",
        float(same and cached_runs[0][1] == cached_runs[-1][1]),
        "==",
        1,
    )
    report.goal("reload / resident overhead", loaded / resident, ">=", 10)
    report.finish()


if __name__ == "__main__":
    main()
