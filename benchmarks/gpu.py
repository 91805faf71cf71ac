"""LTX-Video 2B at full size with random weights on the local GPU: ours against plain diffusers.

`--tiny` runs the same code with a tiny model on the CPU, as a test; it checks no goals.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from generation.models.common.device import detect_device
from generation.models.common.memory_plan import MemoryPlan
from generation.request import Limits
from tests.factories import NO_MUSIC, make_preset, make_request

PROMPT = "a fox in the snow, cinematic light, drifting flakes, slow camera"


@dataclass(frozen=True)
class Sizes:
    width: int
    height: int
    frames: int
    steps: int
    tiny: bool


@dataclass(frozen=True)
class Result:
    total: float  # from prompt to MP4 file
    denoise: float  # denoising steps only


def build_components(*, tiny: bool) -> dict[str, Any]:
    """The components of LTX-Video 2B in their published shapes, or tiny ones, with random weights."""
    import diffusers  # noqa: PLC0415  (heavy)
    import torch  # noqa: PLC0415  (heavy)
    import transformers  # noqa: PLC0415  (heavy)

    from tests.generation.models.tiny_pipelines import ltx_parts, t5_tokenizer  # noqa: PLC0415  (torch)

    if tiny:
        return ltx_parts()
    config = transformers.T5Config(
        vocab_size=32128,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        components = {
            "transformer": diffusers.LTXVideoTransformer3DModel(),
            "vae": diffusers.AutoencoderKLLTXVideo(),
            "text_encoder": transformers.T5EncoderModel(config),
        }
    torch.set_default_dtype(torch.float32)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return {
        **{name: part.eval() for name, part in components.items()},
        "scheduler": scheduler,
        "tokenizer": t5_tokenizer(),
    }


def synchronized_time() -> float:
    import torch  # noqa: PLC0415  (heavy)

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def run_plain_diffusers(components: dict[str, Any], sizes: Sizes, folder: Path, seed: int) -> Result:
    """As in a model card: the diffusers pipeline, then PyAV's encoder with the default x264 settings."""
    import av  # noqa: PLC0415  (heavy)
    import numpy as np  # noqa: PLC0415  (heavy)
    import torch  # noqa: PLC0415  (heavy)
    from diffusers import LTXPipeline  # noqa: PLC0415  (heavy)

    pipe = LTXPipeline(**components)
    pipe.set_progress_bar_config(disable=True)
    times: list[float] = []

    def on_step(_: Any, __: int, ___: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        times.append(synchronized_time())
        return inputs

    start = synchronized_time()
    pictures = pipe(
        prompt=f"{PROMPT} {seed}",
        negative_prompt="",
        width=sizes.width,
        height=sizes.height,
        num_frames=sizes.frames,
        frame_rate=24,
        num_inference_steps=sizes.steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(seed),
        callback_on_step_end=on_step,
    ).frames[0]
    with av.open(str(folder / "plain.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = sizes.width, sizes.height, "yuv420p"
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture))))
        file.mux(stream.encode())
    return Result(synchronized_time() - start, _denoise_seconds(times))


def run_ours(model: Any, sizes: Sizes, folder: Path, seed: int) -> Result:
    from generation.media.ffmpeg import find  # noqa: PLC0415  (heavy)
    from generation.media.mux import mux, preset_for  # noqa: PLC0415  (heavy)

    request = make_request(
        f"{PROMPT} {seed}",
        model="ltx",
        width=sizes.width,
        height=sizes.height,
        frames=sizes.frames,
        seed=seed,
        steps=sizes.steps,
        music=NO_MUSIC,
    )
    times: list[float] = []
    start = synchronized_time()
    frames = model.generate_frames(request, lambda *_: times.append(synchronized_time()))
    asyncio.run(mux(frames, None, folder / "ours.mp4", ffmpeg=find(), preset=preset_for(2)))
    return Result(synchronized_time() - start, _denoise_seconds(times))


def _denoise_seconds(times: list[float]) -> float:
    """Seconds of all steps, from the intervals between them: the start of the first is unknown."""
    return (times[-1] - times[0]) / (len(times) - 1) * len(times)


def flops(sizes: Sizes, transformer: Any) -> float:
    """Operations of one forward pass: two per weight and token, plus attention's two products."""
    tokens = ((sizes.frames - 1) // 8 + 1) * (sizes.height // 32) * (sizes.width // 32)
    weights = sum(weight.numel() for weight in transformer.parameters())
    config = transformer.config
    inner = config.num_attention_heads * config.attention_head_dim
    return float(2 * weights * tokens + 4 * config.num_layers * tokens**2 * inner)


def measured_matmul_flops() -> float:
    """The GPU's measured bfloat16 matrix rate, in operations per second."""
    import torch  # noqa: PLC0415  (heavy)

    side, rounds = 8192, 20
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    start = synchronized_time()
    for _ in range(rounds):
        left @ right
    return 2 * side**3 * rounds / (synchronized_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1" if arguments.tiny else "8")
    card = detect_device()
    report = Report("How fast is LTX-Video 2B, and how close to the limit of the GPU?")
    if card.kind != "cuda" and not arguments.tiny:
        print("no CUDA GPU found: run with --tiny to test this script")
        report.figures = {"card": card.name, "ran": False}
        report.finish()
    shape = (32, 32, 9) if arguments.tiny else (768, 512, 121)
    compare(report, Sizes(*shape, steps=arguments.steps, tiny=arguments.tiny), arguments.rounds, card.name)


def compare(report: Report, sizes: Sizes, rounds: int, card: str) -> None:
    from diffusers import LTXPipeline  # noqa: PLC0415  (heavy)

    from generation.models.common.device_placement import place_pipeline  # noqa: PLC0415  (heavy)
    from generation.models.ltx import Ltx  # noqa: PLC0415  (heavy)

    components = build_components(tiny=sizes.tiny)
    preset = make_preset("ltx", limits=Limits(width=sizes.width, height=sizes.height))
    plan = MemoryPlan() if sizes.tiny else MemoryPlan(device="cuda", dtype="bfloat16", compile=True)
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [run_plain_diffusers(components, sizes, folder, seed) for seed in range(rounds + 1)]
        results["plain diffusers"] = min(runs[1:], key=lambda run: run.total)  # the first is a warm-up
        pipe = LTXPipeline(**components)
        place_pipeline(pipe, preset, plan)
        model = Ltx(pipe, preset, plan)
        runs = [run_ours(model, sizes, folder, seed) for seed in range(rounds + 1)]
        results["ours"] = min(runs[1:], key=lambda run: run.total)
    report.table(
        ("way", "prompt to MP4 (s)", "denoise (s)"),
        [(name, f"{run.total:.3f}", f"{run.denoise:.3f}") for name, run in results.items()],
    )
    report.figures = {"card": card, "sizes": vars(sizes)} | {name: vars(run) for name, run in results.items()}
    if not sizes.tiny:
        share = (
            flops(sizes, components["transformer"])
            * sizes.steps
            / results["ours"].denoise
            / measured_matmul_flops()
        )
        speed = results["plain diffusers"].total / results["ours"].total
        report.goal("plain diffusers / ours, prompt to MP4", speed, ">=", 2.5)
        report.goal("denoise share of the GPU's matrix rate", share, ">=", 0.65)
    report.finish()


if __name__ == "__main__":
    main()
