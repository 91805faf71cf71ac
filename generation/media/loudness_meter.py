"""Measure integrated loudness and true peak by EBU R 128, in this process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from generation.clip import Audio
from generation.errors import EncodeFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SILENCE_LUFS = -60.0  # LUFS; quieter audio is not amplified
MIN_SECONDS = 1.0  # seconds; R 128 needs at least 0.4
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class Loudness:
    lufs: float
    peak: float  # dBTP

    @property
    def silent(self) -> bool:
        return self.lufs <= SILENCE_LUFS


async def measure(source: Path | Audio) -> Loudness:
    """Measure one of our own files, or samples in memory."""
    try:
        return await asyncio.to_thread(_measure, source)
    except (av.FFmpegError, IndexError) as error:
        raise EncodeFailed("loudness", str(error)) from error


def _measure(source: Path | Audio) -> Loudness:
    graph, lufs, peak = None, -math.inf, 0.0
    for frame in _file_frames(source) if isinstance(source, Path) else _audio_frames(source):
        graph = graph or _build_graph(frame)
        graph.push(frame)
        for lufs, true_peak in _readings(graph):  # noqa: B007  (the last value counts)
            peak = max(peak, true_peak)
    return Loudness(lufs, 20 * math.log10(peak) if peak else -math.inf)


def _build_graph(like: av.AudioFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format=like.format.name,
        sample_rate=like.sample_rate,
        layout=like.layout.name,
        time_base=Fraction(1, like.sample_rate),
    )
    meter = graph.add("ebur128", peak="true", metadata="1", framelog="verbose")
    source.link_to(meter)
    meter.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _readings(graph: av.filter.Graph) -> Iterator[tuple[float, float]]:
    """Loudness and true peak after each tenth of a second."""
    with suppress(av.BlockingIOError, av.EOFError):
        while True:
            metadata = graph.pull().metadata
            if "lavfi.r128.I" in metadata:
                yield float(metadata["lavfi.r128.I"]), float(metadata["lavfi.r128.true_peak"])


def _file_frames(path: Path) -> Iterator[av.AudioFrame]:
    """The audio, then silence to the end of a tenth of a second, so that its end is measured too."""
    done, frame = 0, None
    with av.open(str(path), format="mp4") as container:
        for frame in container.decode(audio=0):
            frame.pts = done
            done += frame.samples
            yield frame
    if frame is not None:
        yield _silent_frame(frame, -done % (frame.sample_rate // 10), done)


def _silent_frame(like: av.AudioFrame, samples: int, at: int) -> av.AudioFrame:
    import numpy as np  # noqa: PLC0415  (only where it is used)

    rows = 1 if like.format.is_packed else like.layout.nb_channels
    columns = max(1, samples) * like.layout.nb_channels // rows
    silence = np.zeros((rows, columns), np.float32)  # AAC decodes to floats
    frame = av.AudioFrame.from_ndarray(silence, format=like.format.name, layout=like.layout.name)
    frame.sample_rate, frame.pts = like.sample_rate, at
    return frame


def _audio_frames(audio: Audio) -> Iterator[av.AudioFrame]:
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = _repeat_to_minimum(audio)
    rest = -len(samples) % (audio.rate // 10)
    samples = np.pad(samples, ((0, rest), (0, 0)))
    layout = _LAYOUTS.get(samples.shape[1], f"{samples.shape[1]}c")
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
    frame.sample_rate, frame.pts = audio.rate, 0
    yield frame


def _repeat_to_minimum(audio: Audio) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = np.ascontiguousarray(audio.samples.reshape(len(audio.samples), -1), dtype=np.float32)
    times = math.ceil(MIN_SECONDS * audio.rate / max(1, len(samples)))
    return np.tile(samples, (times, 1)) if times > 1 else samples
