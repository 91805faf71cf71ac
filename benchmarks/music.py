"""Cost of music: a decoding step against transformers, batched jobs, and music beside frame generation."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Report
from generation.music.common.genre_tables import read_genres
from generation.music.common.music_choice import choose_music
from generation.music.common.registry import load
from generation.music.musicgen import MusicGen
from generation.progress import OnStep
from generation.rendering.worker_thread import WorkerThread
from generation.request import Music, MusicWish
from tests.generation.music import tiny_weights

STEPS = 100
JOBS = 8
PICTURE_SECONDS = 4.0  # of the simulated GPU
SAMPLE_RATE = 48_000
ROUNDS = 3


def ignore_progress(_done: int, _total: int) -> None:
    pass


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def transformers_decoding(maker: MusicGen) -> Callable[[], Any]:
    """The `generate` of transformers, without its codec."""
    maker.model.audio_encoder.decode = lambda codes, **_: type("Out", (), {"audio_values": codes})
    text = maker.tokenizer(["warm lofi"], return_tensors="pt")

    def generate() -> None:
        with torch.inference_mode():
            maker.model.generate(**text, do_sample=True, top_k=250, guidance_scale=3.0, max_new_tokens=STEPS)

    return generate


def our_decoding(maker: MusicGen, jobs: int) -> Callable[[], Any]:
    music = [Music(genre="lofi", maker="m", words="warm lofi", seed=seed) for seed in range(jobs)]
    return lambda: maker.generate_codes(music, STEPS - 3, ignore_progress)


def milliseconds_a_step(*works: Callable[[], Any]) -> list[float]:
    """The best CPU time of each; they take turns, so that other load affects all alike."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS + 1):
        for index, work in enumerate(works):
            began = time.thread_time()
            work()
            best[index] = min(best[index], 1000 * (time.thread_time() - began) / STEPS)
    return best


async def render_seconds(
    generate_frames: Callable[[OnStep], Any], compose: Callable[[OnStep], Any] | None
) -> float:
    """Wall seconds of frames with music, each in its own thread as in a render."""
    picture_thread, music_thread = WorkerThread("frames"), WorkerThread("music")
    began = time.perf_counter()
    works = [picture_thread.run(generate_frames, ignore_progress)] + (
        [music_thread.run(compose, ignore_progress)] if compose else []
    )
    await asyncio.gather(*works)
    picture_thread.close()
    music_thread.close()
    return time.perf_counter() - began


def music_overhead(
    generate_frames: Callable[[OnStep], Any], compose: Callable[[OnStep], Any]
) -> tuple[float, float]:
    """Seconds of the frames alone, and what music adds in per cent: the best of several rounds."""
    alone, both = [], []
    for _ in range(ROUNDS):
        alone.append(asyncio.run(render_seconds(generate_frames, None)))
        both.append(asyncio.run(render_seconds(generate_frames, compose)))
    return min(alone), 100 * (min(both) / min(alone) - 1)


def simulated_gpu(on_step: OnStep) -> None:
    """Wait for each step, as the CPU does for a GPU."""
    for step in range(20):
        time.sleep(PICTURE_SECONDS / 20)
        on_step(step, 20)


def cpu_picture_model(on_step: OnStep) -> None:
    """A tiny picture model on one CPU core."""
    torch.manual_seed(0)
    frames, filters = torch.randn(4, 16, 96, 96), torch.randn(16, 16, 3, 3) / 12
    with torch.inference_mode():
        for step in range(1200):
            frames = torch.tanh(torch.nn.functional.conv2d(frames, filters, padding=1))
            on_step(step, 1200)


def band_composer(length: float) -> Callable[[OnStep], Any]:
    data = tomllib.loads((Path(__file__).parents[1] / "config" / "genres.toml").read_text(encoding="utf-8"))
    maker = load("band", {"genres": data})
    wish = MusicWish(genre="lofi")
    music, _ = choose_music(wish, "x", seconds=length, genres=read_genres(data), maker="band", seed=1)
    return lambda on_step: maker.compose(music, round(length * SAMPLE_RATE), SAMPLE_RATE, on_step)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    report = Report("What does music cost?")
    with tempfile.TemporaryDirectory() as folder:
        source = str(tiny_weights.save_musicgen(Path(folder), layers=24))
        maker = load("musicgen", {"source": source})
        assert isinstance(maker, MusicGen)
        single, batched, peer = milliseconds_a_step(
            our_decoding(maker, 1), our_decoding(maker, JOBS), transformers_decoding(maker)
        )
    compose_band = band_composer(5.0)
    compose_band(ignore_progress)
    alone = statistics.median(seconds(lambda: compose_band(ignore_progress)) for _ in range(ROUNDS))
    simulated, on_gpu = music_overhead(simulated_gpu, compose_band)
    real, on_cpu = music_overhead(cpu_picture_model, compose_band)
    report.table(
        ("decoding, 24 layers of width 16", "CPU ms a step"),
        (
            ("transformers generate", f"{peer:.2f}"),
            ("ours", f"{single:.2f}"),
            (f"ours, {JOBS} jobs", f"{batched:.2f}"),
        ),
    )
    print()
    report.table(
        ("5 s with the band", "frames alone, s", "music adds, %"),
        (
            ("simulated GPU", f"{simulated:.2f}", f"{on_gpu:.1f}"),
            ("tiny model on a CPU core", f"{real:.2f}", f"{on_cpu:.1f}"),
        ),
    )
    report.figures |= {
        "generate_ms": peer,
        "ours_ms": single,
        "ours_batched_ms": batched,
        "band_5s_seconds": alone,
        "added_simulated_percent": on_gpu,
        "added_real_percent": on_cpu,
    }
    report.goal("generate / ours, a step", peer / single, ">=", 3)
    report.goal(f"{JOBS} jobs batched / one by one, throughput", JOBS * single / batched, ">=", 4)
    report.goal("music beside a simulated GPU adds, %", on_gpu, "<=", 5)
    report.goal("music beside a tiny CPU model adds, %", on_cpu, "<=", 5)
    report.finish()


if __name__ == "__main__":
    main()
