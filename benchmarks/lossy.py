"""How much quality does each lossy option cost, and how much faster is it? Measured on "pocket".

`--keep` writes the results to config/lossy.toml, which `matinee models` reads.
"""

from __future__ import annotations

import argparse
import os
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.report import Report
from generation.models.common.memory_plan import MemoryPlan
from generation.models.common.preset import Preset, read_presets
from generation.models.common.registry import load, lossy_options
from generation.request import Request
from tests.factories import NO_MUSIC, make_request

CONFIG = Path(__file__).parents[1] / "config"
STEPS = 24
PROMPTS = ("a red rocket rising over the snow at night", "a yellow star spinning in a forest by day")
ROUNDS = 2


def pocket_request(prompt: str, seed: int) -> Request:
    return make_request(
        prompt,
        model="pocket",
        width=64,
        height=64,
        frames=17,
        fps=8.0,
        seed=seed,
        steps=STEPS,
        guidance=4.0,
        music=NO_MUSIC,
    )


def timed_frames(loaded_model: Any) -> tuple[float, Any]:
    """Seconds of the fastest round, and its frames as floats."""
    import numpy as np  # noqa: PLC0415  (heavy)

    fastest = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        clips = [
            loaded_model.generate_frames(pocket_request(prompt, seed), lambda *_: None).pixels
            for seed, prompt in enumerate(PROMPTS)
        ]
        fastest = min(fastest, time.perf_counter() - start)
    return fastest, np.stack(clips).astype(np.float32) / 255


def psnr(one: Any, other: Any) -> float:
    import numpy as np  # noqa: PLC0415  (heavy)

    return float(min(99.0, -10 * np.log10(max(1e-10, ((one - other) ** 2).mean()))))


def ssim(one: Any, other: Any) -> float:
    """Mean SSIM of brightness over windows of 8 by 8 pixels."""
    import torch  # noqa: PLC0415  (heavy)

    first, second = (
        torch.from_numpy(clip).mean(-1).reshape(-1, 1, *clip.shape[2:4]) for clip in (one, other)
    )

    def window_mean(values: Any) -> Any:
        return torch.nn.functional.avg_pool2d(values, 8, stride=2)

    means = window_mean(first), window_mean(second)
    variances = [
        window_mean(clip * clip) - mean * mean for clip, mean in zip((first, second), means, strict=True)
    ]
    covariance = window_mean(first * second) - means[0] * means[1]
    luminance = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    contrast_structure = (2 * covariance + 9e-4) / (variances[0] + variances[1] + 9e-4)
    return float((luminance * contrast_structure).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write config/lossy.toml")
    keep = parser.parse_args().keep
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    preset = read_presets(tomllib.loads((CONFIG / "models.toml").read_text(encoding="utf-8")))["pocket"]
    report = Report("How much quality does each lossy option cost, and how much faster is it?")
    exact_seconds, exact = timed_frames(load(preset, MemoryPlan()))
    measurements = {}
    for name in lossy_options(preset):
        seconds, frames = timed_frames(load(with_lossy_option(preset, name), MemoryPlan()))
        measurement = {
            "psnr": psnr(exact, frames),
            "ssim": ssim(exact, frames),
            "speed": exact_seconds / seconds,
        }
        measurements[name] = {figure: round(value, 3) for figure, value in measurement.items()}
    report.table(
        ("option", "PSNR (dB)", "SSIM", "speed"),
        [
            (name, f"{values['psnr']:.1f}", f"{values['ssim']:.4f}", f"{values['speed']:.2f}x")
            for name, values in measurements.items()
        ],
    )
    report.figures = {"steps": STEPS, "clips": len(PROMPTS), "measurements": measurements}
    caches = [values for name, values in measurements.items() if name in {"first_block", "taylor", "pyramid"}]
    report.goal(
        "lowest SSIM of any option", min(values["ssim"] for values in measurements.values()), ">=", 0.9
    )
    report.goal(
        "step caches: mean speed relative to exact", mean(values["speed"] for values in caches), ">=", 1.3
    )
    if keep:
        write_measurements(measurements)
    report.finish()


def with_lossy_option(preset: Preset, name: str) -> Preset:
    return replace(preset, options={**preset.options, "lossy": [name]})


def write_measurements(measurements: dict[str, dict[str, float]]) -> None:
    lines = [
        "# Quality and speed of each lossy option, relative to exact computation.",
        "# Measured by `python -m benchmarks.lossy --keep`, which writes this file.",
        "",
        "[measured]",
        f'on = "pocket, {STEPS} steps, one processor core"',
    ]
    for name, values in measurements.items():
        lines += ["", f"[{name}]", *(f"{figure} = {value}" for figure, value in values.items())]
    (CONFIG / "lossy.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
