"""Does every memory plan fit the card it was made for? Counted at the published configs, without weights.

`--count` counts presets again and writes results/memory.json, which is used without it.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Report
from generation.models.common.memory_plan import ComputeDevice, MemoryPlan, Resources, possible_plans
from generation.models.common.preset import MemoryTier, Preset, read_presets
from generation.request import Kind

if TYPE_CHECKING:
    from benchmarks.memory_count import Size

CARDS = (6, 8, 12, 16, 24, 32, 48, 80, 141)
RESULTS = Path(__file__).parent / "results" / "memory.json"
CONFIG = Path(__file__).parents[1] / "config" / "models.toml"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "image_encoder", "connectors")
DENOISERS = ("transformer", "unet")
DOES_NOT_FIT = "no plan: the card is too small"


def presets_with_configs() -> dict[str, Preset]:
    from tests.generation.models.published_configs import names_with_configs  # noqa: PLC0415  (of the tests)

    presets = read_presets(tomllib.loads(CONFIG.read_text(encoding="utf-8")))
    return {name: presets[name] for name in names_with_configs() if name in presets}


def default_size(preset: Preset) -> Size:
    limits = preset.limits
    return _size(preset, limits.width, limits.height, limits.seconds, limits.fps, limits.guidance)


def largest_size(preset: Preset) -> Size:
    """The largest clip that can be asked for; a second pass that enlarges a clip may be larger."""
    limits, step = preset.limits, preset.limits.side_multiple
    sides = range(step, limits.max_side + 1, step)
    fitting = ((wide, high) for wide in sides for high in sides if wide * high <= limits.max_pixels)
    width, height = max(fitting, key=lambda pair: (pair[0] * pair[1], pair[0]))
    return _size(preset, width, height, limits.max_seconds, limits.max_fps, limits.max_guidance)


def _size(preset: Preset, width: int, height: int, seconds: float, fps: float, guidance: float) -> Size:
    from benchmarks.memory_count import Size  # noqa: PLC0415  (imports torch)

    frames = 1 if preset.limits.kinds == (Kind.IMAGE,) else preset.limits.frames_for(seconds, fps)
    return Size(width, height, frames, fps, guided=guidance > 1)


def count(preset: Preset) -> dict[str, Any]:
    """Gigabytes of the weights of every component, and the peaks of the default and the largest request."""
    from benchmarks.memory_count import PipelineCount, largest_layer_gb, weight_gb  # noqa: PLC0415  (imports torch)

    float32 = bool(preset.options.get("vae_float32"))
    pipeline, peaks = PipelineCount(preset), dict[str, Any]()
    for label, size in (("default", default_size(preset)), ("largest", largest_size(preset))):
        shape = [size.width, size.height, size.frames]
        if label == "largest" and peaks["default"]["size"] == shape and default_size(preset).guided:
            peaks[label] = peaks["default"]
            continue
        peaks[label] = {
            "size": shape,
            "denoise": round(pipeline.denoise_gb(size), 2),
            "decode": round(pipeline.decode_gb(size, tiled=False), 2),
            "tiled": round(pipeline.decode_gb(size, tiled=True), 2),
        }
        print(f"{preset.name}, {label}: {peaks[label]}", flush=True)
    weights = {part: round(size, 2) for part, size in weight_gb(preset.name, vae_float32=float32).items()}
    return {"weights": weights, "layer": round(largest_layer_gb(preset.name), 2), "requests": peaks}


def counted_peak(counted: dict[str, Any], label: str, plan: MemoryPlan) -> float:
    """The highest number of gigabytes on the GPU at once with this plan, without the GPU's own context."""
    weights: dict[str, float] = counted["weights"]
    peaks: dict[str, float] = counted["requests"][label]
    decode = peaks["tiled" if plan.tiling else "decode"]
    text = sum(size for part, size in weights.items() if part in TEXT_ENCODERS)
    denoiser = sum(size for part, size in weights.items() if part in DENOISERS)
    rest = sum(weights.values()) - text - denoiser
    match plan.tier:
        case MemoryTier.OFFLOAD:
            return max(*weights.values(), denoiser + peaks["denoise"], rest + decode)
        case MemoryTier.GROUP:
            return 2 * float(counted["layer"]) + max(peaks["denoise"], decode)
        case MemoryTier.LEAN:
            return max(text + rest, denoiser + rest + max(peaks["denoise"], decode))
        case MemoryTier.EIGHT_BIT:
            return text + rest + denoiser / 2 + max(peaks["denoise"], decode)
        case _:
            return text + rest + denoiser + max(peaks["denoise"], decode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", nargs="*", metavar="PRESET", help="count these presets again, or all")
    chosen = parser.parse_args().count
    counted = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    presets = presets_with_configs()
    for name in presets if chosen == [] else chosen or ():
        counted[name] = count(presets[name])
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(dict(sorted(counted.items())), indent=1) + "\n", encoding="utf-8")
    report_plans({name: presets[name] for name in counted}, counted)


def report_plans(presets: dict[str, Preset], counted: dict[str, Any]) -> None:
    report = Report("Does every memory plan fit its card?")
    rows, too_large = [], 0
    for name, preset in presets.items():
        for total in CARDS:
            card = ComputeDevice(kind="cuda", name="a card", total=total, bfloat16=True)
            plans = possible_plans(preset, card, Resources())
            for label in ("default", "largest"):
                peak = counted_peak(counted[name], label, plans[0]) if plans else 0.0
                too_large += peak > total
                verdict = DOES_NOT_FIT if not plans else "fits" if peak <= total else "TOO LARGE"
                plan = f"{plans[0].tier.value}{', tiles' if plans[0].tiling else ''}" if plans else "-"
                rows.append((name, total, label, plan, f"{peak:.1f}" if plans else "-", verdict))
    report.table(("preset", "card, GB", "request", "plan", "counted, GB", ""), rows)
    report.figures = {"presets": len(presets), "cells": len(rows)}
    report.goal("plans whose counted peak exceeds the card", too_large, "==", 0)
    report.finish()


if __name__ == "__main__":
    main()
