"""Encoding: is it cheaper than comparable tools at their quality, and does every clip fit its limit?"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import subprocess
import tempfile
import venv
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ffmpeg as build
import numpy as np

from benchmarks.report import Report
from generation.clip import Audio, Clip, Frames
from generation.errors import CannotFit
from generation.media.ffmpeg import Ffmpeg, find, run
from generation.media.fit import fit
from generation.media.mux import mux, preset_for
from generation.media.probe import probe
from generation.media.size_estimate import LIMIT_MARGIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEER_PACKAGES = ("moviepy>=2,<3", "numpy", "imageio", "imageio-ffmpeg")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matinee-benchmarks"
FRAME_COUNT, WIDTH, HEIGHT, FPS = 121, 768, 512, 24.0
PRESET = preset_for(0)  # for an idle engine; faster presets are used when clips wait
MATRIX = {"ours": "bt709", "moviepy": "smpte170m", "export": "smpte170m"}
_PEER_SCRIPT = """
import resource, sys, wave, numpy as np
way, pixels, sound, out, fps = sys.argv[1:6]
frames, fps = np.load(pixels, mmap_mode="r"), float(fps)
from moviepy import AudioFileClip, ImageSequenceClip, VideoFileClip
import imageio
def cpu():
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
before = cpu()
if way == "moviepy":
    clip = ImageSequenceClip([np.asarray(f) for f in frames], fps=fps)
else:
    with imageio.get_writer(out + ".silent.mp4", fps=fps, quality=5.0, macro_block_size=16) as writer:
        for f in frames:
            writer.append_data(np.asarray(f))
    clip = VideoFileClip(out + ".silent.mp4")
music = AudioFileClip(sound)
clip = clip.with_audio(music.subclipped(0, min(music.duration, clip.duration)))
clip.write_videofile(out, codec="libx264", audio_codec="aac", logger=None)
print(cpu() - before)
"""


def animation(count: int, width: int, height: int, seed: int = 1) -> NDArray[np.uint8]:
    """Flat shapes with hard edges that move over a gradient."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ground = np.stack([60 + 120 * y / height, 90 + 60 * x / width, 200 - 90 * y / height], -1)
    discs = [
        (
            draw.uniform(0, 1, 2),
            draw.uniform(-0.4, 0.4, 2),
            draw.uniform(0.04, 0.14),
            draw.integers(0, 256, 3),
        )
        for _ in range(14)
    ]
    frames = np.empty((count, height, width, 3), np.uint8)
    for index in range(count):
        frame = ground + 12 * np.sin((x + 3 * index) / 23)[..., None]
        for at, speed, size, colour in discs:
            centre = (at + speed * index / FPS) % 1.0
            frame[(x - centre[0] * width) ** 2 + (y - centre[1] * height) ** 2 < (size * height) ** 2] = (
                colour
            )
        frames[index] = frame.clip(0, 255)
    return frames


def grainy_animation(count: int, width: int, height: int, seed: int = 2) -> NDArray[np.uint8]:
    """The same with film grain, which is the hardest to encode."""
    draw = np.random.default_rng(seed)
    frames = animation(count, width, height, seed)
    for frame in frames:
        frame[:] = (frame + draw.normal(0, 7, (height, width, 1))).clip(0, 255)
    return frames


def sample_audio(seconds: float, rate: int = 32_000) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6)) * np.exp(-(t % 0.5) * 3) * 0.2
    return Audio(np.repeat(np.asarray(chord, np.float32)[:, None], 2, 1), rate)


@contextmanager
def measure_cpu(spent: dict[str, float], name: str) -> Iterator[None]:
    """CPU seconds of this process and of every child that ended meanwhile."""

    def now() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = now()
    yield
    spent[name] = now() - before


async def quality(ffmpeg: Ffmpeg, path: Path, pixels: NDArray[np.uint8], matrix: str = "bt709") -> float:
    """Mean VMAF of a file against the original frames, or SSIM x 100 if ffmpeg has no libvmaf.

    `matrix` is the colour matrix of the file's encoder; each file is compared with its own.
    """
    _, height, width, _ = pixels.shape
    reference = build.input(
        "pipe:0", f="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=FPS
    )
    reference = reference.filter("scale", out_color_matrix=matrix, out_range="tv").filter("format", "yuv420p")
    encoded = (
        build.input(str(path))["v"]
        .filter("scale", width, height, flags="bicubic")
        .filter("format", "yuv420p")
    )
    encoded, reference = (
        encoded.filter("settb", "1/24").filter("setpts", "N"),
        reference.filter("settb", "1/24").filter("setpts", "N"),
    )
    name = "libvmaf" if await has_vmaf(ffmpeg) else "ssim"
    options = {"n_threads": os.cpu_count() or 1, "shortest": 1} if name == "libvmaf" else {}
    comparison = build.filter([encoded, reference], name, **options)
    stderr = await run(ffmpeg, build.output(comparison, "-", f="null"), stage="compare", feed=list(pixels))
    found = re.search(r"VMAF score: ([\d.]+)", stderr) or re.search(r"All:([\d.]+)", stderr)
    assert found, stderr
    return float(found[1]) * (1 if name == "libvmaf" else 100)


async def has_vmaf(ffmpeg: Ffmpeg) -> bool:
    process = await asyncio.create_subprocess_exec(
        ffmpeg.path, "-hide_banner", "-filters", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return b"libvmaf" in (await process.communicate())[0]


def peer_python() -> Path:
    """A virtual environment for the other tools, whose pinned versions conflict with ours; created once."""
    home = CACHE / "encode-peer"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEER_PACKAGES], check=True)  # noqa: S603  (our own list)
        (home / "ready").touch()
    return python


def encode_with_peer(way: str, pixels: NDArray[np.uint8], audio: Audio, out: Path) -> float:
    """CPU seconds of the encode itself, without start-up and imports, as for ours."""
    np.save(out.with_suffix(".npy"), pixels)
    with wave.open(str(out.with_suffix(".wav")), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((audio.samples * 32_767).astype("<i2").tobytes())
    arguments = [way, *map(str, (out.with_suffix(".npy"), out.with_suffix(".wav"), out, FPS))]
    command = [str(peer_python()), "-c", _PEER_SCRIPT, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  (our own code)
    return float(done.stdout.split()[-1])


def frames_in(path: Path) -> int:
    import av  # noqa: PLC0415  (only after the timed runs)

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


async def compare_with_peers(
    report: Report, ffmpeg: Ffmpeg, vmaf_ffmpeg: Ffmpeg, folder: Path
) -> dict[str, Clip]:
    clips, rows = {}, []
    warm = Frames(animation(2, 64, 64), FPS)
    # Import everything before the timed run.
    await mux(warm, sample_audio(0.5), folder / "warm.mp4", ffmpeg=ffmpeg, preset=PRESET)
    for name, make_frames in (("animation", animation), ("grain", grainy_animation)):
        pixels, audio = make_frames(FRAME_COUNT, WIDTH, HEIGHT), sample_audio(FRAME_COUNT / FPS)
        spent: dict[str, float] = {}
        files = {way: folder / f"{name}-{way}.mp4" for way in ("ours", "moviepy", "export")}
        with measure_cpu(spent, "ours"):
            clips[name] = await mux(Frames(pixels, FPS), audio, files["ours"], ffmpeg=ffmpeg, preset=PRESET)
        for way in ("moviepy", "export"):
            spent[way] = encode_with_peer(way, pixels, audio, files[way])
        facts = {
            way: {
                "cpu_s": round(spent[way], 2),
                "quality": round(await quality(vmaf_ffmpeg, path, pixels, MATRIX[way]), 2),
                "frames": frames_in(path),
                "bytes": path.stat().st_size,
            }
            for way, path in files.items()
        }
        report.figures[name] = facts
        rows += [(name, way, *fact.values()) for way, fact in facts.items()]
        report.goal(f"{name}: frames lost", FRAME_COUNT - float(facts["ours"]["frames"]), "==", 0)
        for way, title in (("moviepy", "moviepy"), ("export", "export_to_video + moviepy")):
            better = float(facts["ours"]["quality"]) - float(facts[way]["quality"])
            report.goal(f"{name}: quality above {title}", better, ">=", 0)
        times = {way: spent[way] / spent["ours"] for way in ("moviepy", "export")}
        report.figures[f"{name}: CPU over ours"] = times
        print(f"{name}: moviepy alone takes {times['moviepy']:.1f} times our CPU")
        report.goal(f"{name}: CPU of export_to_video + moviepy over ours", times["export"], ">=", 4)
    report.table(("clip", "way", "CPU s", "VMAF", "frames", "bytes"), rows)
    return clips


async def compare_with_one_pass(
    report: Report, ffmpeg: Ffmpeg, vmaf_ffmpeg: Ffmpeg, clip: Clip, folder: Path
) -> None:
    """At one tight limit: ours against one pass at the same average bit rate, as export tools do.

    With and without a cap on peaks: without one, quality varies and more files exceed the limit.
    """
    pixels = animation(FRAME_COUNT, WIDTH, HEIGHT)
    limit = clip.size * 3 // 8
    ours = await fit(clip, limit, ffmpeg=ffmpeg)
    rate = int((limit - probe(ours.path).audio_bytes) * 8 * LIMIT_MARGIN / clip.seconds)
    files = {"ours": ours.path}
    for name, cap in (("one pass", {}), ("one pass, capped", {"maxrate": rate, "bufsize": 2 * rate})):
        files[name] = folder / f"{name}.mp4"
        source = build.input(str(clip.path), f="mp4")
        out = build.output(
            *(source["v"], build.input(str(ours.path), f="mp4")["a"], str(files[name])),
            f="mp4",
            vcodec="libx264",
            acodec="copy",
            preset="medium",
            video_bitrate=rate,
            **cap,
        )
        await run(ffmpeg, out, stage="one-pass")
    scores = {name: await quality(vmaf_ffmpeg, path, pixels) for name, path in files.items()}
    used = {name: path.stat().st_size / limit for name, path in files.items()}
    report.figures["tight_limit"] = {"limit": limit, "quality": scores, "used": used}
    print()
    rows = [(name, f"{scores[name]:.1f}", f"{used[name]:.3f}") for name in files]
    report.table((f"under {limit} bytes", "VMAF", "of the limit"), rows)
    for name in list(files)[1:]:
        report.goal(f"animation: VMAF over {name}", scores["ours"] - scores[name], ">=", 5)


async def check_size_limits(report: Report, ffmpeg: Ffmpeg, folder: Path, clips: int) -> None:
    """Many clips at four limits each: none is over its limit, and tight limits are used fully."""
    over, used, refused, wrongly_refused = 0, [], 0, 0
    for number in range(clips):
        make_frames = grainy_animation if number % 2 else animation
        width, height, count = (
            (256, 144, 24),
            (160, 160, 36),
            (144, 256, 17),
            (320, 192, 25),
            (97, 130, 49),
        )[number % 5]
        audio = None if number % 7 == 3 else sample_audio(count / FPS)
        frames = Frames(make_frames(count, width, height, number), FPS)
        clip = await mux(frames, audio, folder / f"{number}.mp4", ffmpeg=ffmpeg, preset="superfast")
        for share in (1.2, 0.8, 0.5, 0.3):
            limit = int(clip.size * share)
            try:
                fitted = await fit(clip, limit, ffmpeg=ffmpeg)
            except CannotFit as refusal:
                refused += 1
                wrongly_refused += limit > refusal.floor
                continue
            over += fitted.path.stat().st_size > limit
            if fitted is not clip:
                used.append(fitted.size / limit)
    report.figures["sweep"] = {
        "clips": clips,
        "fitted": len(used),
        "refused": refused,
        "least_used": min(used),
        "mean_used": float(np.mean(used)),
    }
    print(f"\n{clips} clips x 4 limits: {len(used)} made smaller, {refused} refused, {over} over the limit")
    report.goal("files over their limit", over, "==", 0)
    report.goal("refused although above the smallest limit", wrongly_refused, "==", 0)
    report.goal(
        "share of tight limits that are used to 95 %", float(np.mean(np.array(used) >= 0.95)), ">=", 1
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=50)
    arguments = parser.parse_args()
    report = Report("Is encoding cheap, complete and always small enough?")
    ffmpeg = find()
    import imageio_ffmpeg  # noqa: PLC0415  (its ffmpeg has libvmaf)

    vmaf_ffmpeg = find(imageio_ffmpeg.get_ffmpeg_exe())
    peer_python()
    with tempfile.TemporaryDirectory() as scratch:
        clips = await compare_with_peers(report, ffmpeg, vmaf_ffmpeg, Path(scratch))
        await compare_with_one_pass(report, ffmpeg, vmaf_ffmpeg, clips["animation"], Path(scratch))
        await check_size_limits(report, ffmpeg, Path(scratch), arguments.clips)
    report.finish()


if __name__ == "__main__":
    asyncio.run(main())
