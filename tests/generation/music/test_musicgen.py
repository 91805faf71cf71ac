"""MusicGen gives the same codes as transformers, for any length, and can be cancelled."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from generation.errors import ModelBroken, ModelMissing
from generation.music.common.registry import load
from generation.music.musicgen import MusicGen
from generation.music.musicgen.cuda_graphs import FixedShapeRun, GraphCache, without_graph
from generation.progress import Cancelled
from generation.rendering.music_batching import MusicBatcher
from generation.rendering.worker_thread import WorkerThread
from generation.request import Music
from tests.generation.music import tiny_weights

pytestmark = pytest.mark.slow

PIECES = (
    Music(genre="lofi", maker="m", words="warm lofi, calm mood", seed=1),
    Music(genre="metal", maker="m", words="heavy", seed=2),
)


def ignore_progress(_done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="session", params=["mono", "stereo", "melody"])
def weights_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp(request.param)
    if request.param == "melody":
        return tiny_weights.save_melody(target)
    return tiny_weights.save_musicgen(target, stereo=request.param == "stereo")


@pytest.fixture(scope="session")
def mono_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights.save_musicgen(tmp_path_factory.mktemp("small"))


def load_musicgen(folder: Path, **options: Any) -> MusicGen:
    maker = load(
        "musicgen-small", {"maker": "musicgen", "name": "musicgen-small", "source": str(folder), **options}
    )
    assert isinstance(maker, MusicGen)
    return maker


def test_codes_equal_those_that_transformers_generates(weights_folder: Path) -> None:
    maker, frames = load_musicgen(weights_folder, top_k=1), 24
    ours = maker.generate_codes(PIECES, frames, ignore_progress)
    text = maker.tokenizer([job.words for job in PIECES], padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = maker.model.generate(**text, do_sample=False, guidance_scale=3.0, max_new_tokens=frames + 3)
        channels = maker.decoder.channels
        again = maker.decode_audio(
            ours[:, :, : theirs.shape[-1] // 640]
        )  # cut to the length that transformers generated
    assert channels == theirs.shape[1]
    assert torch.equal(again, theirs)


def test_fixed_shape_steps_give_the_same_codes(weights_folder: Path) -> None:
    maker = load_musicgen(weights_folder, top_k=1)
    plain = [maker.generate_codes(jobs, 40, ignore_progress) for jobs in (PIECES, PIECES[::-1], PIECES[:1])]
    maker.graph_cache = GraphCache(without_graph)
    for jobs, codes in zip(
        (PIECES, PIECES[::-1], PIECES[:1]), plain, strict=True
    ):  # the second run reuses the graph of the first
        assert torch.equal(maker.generate_codes(jobs, 40, ignore_progress), codes)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_one_recording_serves_descriptions_of_different_lengths(mono_weights: Path, guidance: float) -> None:
    maker = load_musicgen(mono_weights, top_k=1, guidance=guidance)
    recorded: list[FixedShapeRun] = []

    def record(run: FixedShapeRun) -> Callable[[], torch.Tensor]:
        recorded.append(run)
        return without_graph(run)

    maker.graph_cache = GraphCache(record)
    pieces = [structs.replace(PIECES[0], words=words) for words in ("warm", "warm lofi, calm", "w" * 30)]
    assert len({len(maker.tokenizer(one.words)["input_ids"]) for one in pieces}) == 3
    for piece in pieces:
        alone = maker.generate_codes([piece], 30, ignore_progress)
        graphs, maker.graph_cache = maker.graph_cache, None
        assert torch.equal(alone, maker.generate_codes([piece], 30, ignore_progress))
        maker.graph_cache = graphs
    assert len(recorded) == 1


async def test_a_batch_gives_each_waiting_render_the_music_it_gets_alone(
    mono_weights: Path,
) -> None:
    maker, thread = load_musicgen(mono_weights), WorkerThread("music")
    batcher = MusicBatcher(thread, lambda _: maker, 48_000)
    music = [structs.replace(PIECES[0], seed=seed) for seed in range(4)]
    together = await asyncio.gather(*(batcher.compose(one, 24_000, ignore_progress) for one in music))
    thread.close()
    for one, audio in zip(music, together, strict=True):
        assert (
            np.abs(audio.samples - maker.compose(one, 24_000, 48_000, ignore_progress).samples).max() < 1e-4
        )


@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0, 47.0])
def test_any_length_is_exact_to_the_sample_and_ends_in_silence(mono_weights: Path, seconds: float) -> None:
    samples = round(seconds * 48_000) + 1
    audio = load_musicgen(mono_weights).compose(PIECES[0], samples, 48_000, ignore_progress)
    assert audio.samples.shape == (samples, 2)
    assert audio.samples.dtype == np.float32
    assert np.isfinite(audio.samples).all()
    assert 0.01 < np.abs(audio.samples).max() <= 0.9
    assert np.abs(audio.samples[[0, -1]]).max() < 1e-3


def test_a_seed_gives_the_same_codes_alone_and_in_a_batch(mono_weights: Path) -> None:
    maker = load_musicgen(mono_weights)
    alone, batch = (
        maker.generate_codes(PIECES[:1], 60, ignore_progress),
        maker.generate_codes((*PIECES, *PIECES), 60, ignore_progress),
    )
    assert torch.equal(alone[0], batch[0])
    assert torch.equal(batch[0], batch[2])
    assert not torch.equal(batch[0], batch[1])


def test_music_longer_than_the_window_continues_the_same_codes(mono_weights: Path) -> None:
    maker = load_musicgen(mono_weights)
    steps: list[tuple[int, int]] = []
    long = maker.generate_codes(PIECES[:1], 1700, lambda done, total: steps.append((done, total)))
    assert long.shape == (1, 4, 1700)
    assert torch.equal(long[:, :, :1500], maker.generate_codes(PIECES[:1], 1500, ignore_progress))
    done = [one for one, _ in steps]
    assert done == sorted(done)
    assert steps[-1] == (1700, 1700)


def test_it_stops_within_a_step(mono_weights: Path) -> None:
    seen: list[int] = []

    def stop(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 7:
            raise Cancelled

    maker = load_musicgen(mono_weights)
    with pytest.raises(Cancelled):
        maker.compose(PIECES[0], 48_000, 48_000, stop)
    assert len(seen) == 7
    assert maker.generate_codes(PIECES[:1], 8, ignore_progress).shape == (1, 4, 8)


def test_a_melody_changes_the_codes_of_a_melody_model(tmp_path: Path) -> None:
    maker = load_musicgen(tiny_weights.save_melody(tmp_path / "weights"), top_k=1)
    melody = tmp_path / "melody.wav"
    times = np.arange(32_000) / 32_000
    with wave.open(str(melody), "wb") as file:
        file.setparams((1, 2, 32_000, 0, "NONE", ""))
        file.writeframes((12_000 * np.sin(2 * np.pi * 392 * times)).astype("<i2").tobytes())
    with_melody = maker.generate_codes(
        [Music(genre="x", maker="m", words="pop", melody=str(melody))], 30, ignore_progress
    )
    without_melody = maker.generate_codes([Music(genre="x", maker="m", words="pop")], 30, ignore_progress)
    assert not torch.equal(with_melody, without_melody)


def test_missing_broken_and_pickled_weights_are_distinguished(mono_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        load_musicgen(tmp_path / "nowhere")
    with pytest.raises(ModelBroken):
        load_musicgen(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelBroken, match="pickled"):
        load_musicgen(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in mono_weights.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelBroken):
        load_musicgen(broken)
