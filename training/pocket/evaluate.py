"""Measure how often clips show what the caption asks for, on combinations and wordings not trained on.

python -m training.pocket.evaluate --pipeline FOLDER --count 200 --to scores.json --sheet sheet.jpg
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import LTXPipeline

from training.pocket import captions, contact_sheet, detect
from training.pocket.handwritten_captions import free_captions, known_word_captions
from training.pocket.procedural_clips import FPS, FRAMES, ClipPixels, ClipSpec, draw_clip, split_specs

SIZE, STEPS, GUIDANCE, MAX_TOKENS = 64, 8, 4.0, 64

_COMMAND = (
    "python -m training.pocket.evaluate --pipeline generation/pocket --count {} --steps {} --guidance {}"
)

PromptSet = Sequence[tuple[str, ClipSpec]]


def load(folder: Path) -> LTXPipeline:
    pipe = LTXPipeline.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate_clips(
    pipe: LTXPipeline, prompts: list[str], *, seed: int, steps: int, guidance: float
) -> list[ClipPixels]:
    clips = pipe(
        prompt=prompts,
        height=SIZE,
        width=SIZE,
        num_frames=FRAMES,
        frame_rate=FPS,
        num_inference_steps=steps,
        guidance_scale=guidance,
        max_sequence_length=MAX_TOKENS,
        generator=[torch.Generator().manual_seed(seed + i) for i in range(len(prompts))],
        output_type="np",
    ).frames
    return list((np.asarray(clips) * 255).round().astype(np.uint8))


def prompt_sets(count: int) -> dict[str, PromptSet]:
    """Held-out specs in training templates, others in held-out templates, and handwritten captions."""
    random, held = Random(4), split_specs()[1]
    return {
        "combinations": [(captions.complete_caption(p, random), p) for p in held[:count]],
        "templates": [(captions.held_out_caption(p, random), p) for p in held[-count:]],
        "handwritten": known_word_captions()[:count],
        "free": free_captions()[:count],
    }


def measure_accuracy(prompt_set: PromptSet, clips: list[ClipPixels]) -> dict[str, float]:
    found = [(spec, detect.detect_spec(clip)) for (_, spec), clip in zip(prompt_set, clips, strict=True)]
    right = {
        "colour": [a.colour == b.colour for a, b in found],
        "setting": [(a.place, a.time) == (b.place, b.time) for a, b in found],
        "motion": [a.motion == b.motion for a, b in found],
        "shape": [a.actor == b.actor for a, b in found],
    }
    right["all four"] = [all(row) for row in zip(*right.values(), strict=True)]
    return {name: round(100 * float(np.mean(hits)), 1) for name, hits in right.items()}


def detector_accuracy() -> dict[str, float]:
    """How often the detector finds every attribute in drawn clips of the held-out specs."""
    held = split_specs()[1]
    right = [detect.detect_spec(draw_clip(spec, Random(1000 + i))) == spec for i, spec in enumerate(held)]
    return {"n": len(held), "right": round(100 * float(np.mean(right)), 1)}


def evaluate(
    pipe: LTXPipeline, count: int, *, steps: int, guidance: float
) -> tuple[dict[str, Any], list[Any]]:
    scores: dict[str, Any] = {}
    shown: list[Any] = []
    for name, pairs in prompt_sets(count).items():
        began, clips = time.monotonic(), []
        for start in range(0, len(pairs), 16):
            prompts = [text for text, _ in pairs[start : start + 16]]
            clips += generate_clips(pipe, prompts, seed=start, steps=steps, guidance=guidance)
        seconds = (time.monotonic() - began) / len(pairs)
        scores[name] = {"n": len(pairs), **measure_accuracy(pairs, clips)}
        shown = [(text, clip) for (text, _), clip in zip(pairs, clips, strict=True)]
        print(name, scores[name], f"{seconds:.2f} s a clip", flush=True)
    return scores, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scores, shown = evaluate(
        load(options.pipeline), options.count, steps=options.steps, guidance=options.guidance
    )
    if options.sheet:
        contact_sheet.draw_contact_sheet(shown[:20]).save(options.sheet, quality=88)
    if options.to:
        facts = {
            "date": datetime.now(UTC).date().isoformat(),
            "command": _COMMAND.format(options.count, options.steps, options.guidance),
            "steps": options.steps,
            "guidance": options.guidance,
            "detector": detector_accuracy(),
            "scores": scores,
        }
        options.to.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
