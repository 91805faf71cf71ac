"""MusicGen plays what transformers would, faster, for any length, and stops when asked."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from generation.errors import ModelBroken, ModelMissing
from generation.music.common.registry import load
from generation.music.musicgen import MusicGen
from generation.music.musicgen.cuda_graphs import Studio, plainly
from generation.progress import Cancelled
from generation.rendering.music_batching import Ensemble
from generation.rendering.worker_thread import Hand
from generation.request import Music
from tests.generation.music import tiny_weights

JOBS = (
    Music(genre="lofi", maker="m", words="warm lofi, calm mood", seed=1),
    Music(genre="metal", maker="m", words="heavy", seed=2),
)


def quiet(_done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="session", params=["mono", "stereo", "melody"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp(request.param)
    if request.param == "melody":
        return tiny_weights.save_melody(target)
    return tiny_weights.save_musicgen(target, stereo=request.param == "stereo")


@pytest.fixture(scope="session")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights.save_musicgen(tmp_path_factory.mktemp("small"))


def opened(folder: Path, **options: Any) -> MusicGen:
    made = load(
        "musicgen-small", {"maker": "musicgen", "name": "musicgen-small", "source": str(folder), **options}
    )
    assert isinstance(made, MusicGen)
    return made


def test_its_codes_are_those_that_transformers_generates(folder: Path) -> None:
    maker, frames = opened(folder, top_k=1), 24
    ours = maker.codes(JOBS, frames, quiet)
    text = maker.tokenizer([job.words for job in JOBS], padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = maker.model.generate(**text, do_sample=False, guidance_scale=3.0, max_new_tokens=frames + 3)
        channels = maker.decoder.channels
        again = maker._sounding(ours[:, :, : theirs.shape[-1] // 640])  # the codec decodes what it is given
    assert channels == theirs.shape[1]
    assert torch.equal(again, theirs)


def test_steps_of_one_shape_as_a_card_records_them_yield_the_same_codes(folder: Path) -> None:
    maker = opened(folder, top_k=1)
    free = [maker.codes(jobs, 40, quiet) for jobs in (JOBS, JOBS[::-1], JOBS[:1])]
    maker.recordings = Studio(plainly)
    for jobs, codes in zip(
        (JOBS, JOBS[::-1], JOBS[:1]), free, strict=True
    ):  # the second takes the first's over
        assert torch.equal(maker.codes(jobs, 40, quiet), codes)


async def test_renders_that_wait_for_it_are_played_for_in_one_batch_with_what_each_gets_alone(
    mono: Path,
) -> None:
    maker, hand = opened(mono), Hand("scorer")
    ensemble = Ensemble(hand, lambda _: maker, 48_000)
    music = [structs.replace(JOBS[0], seed=seed) for seed in range(4)]
    together = await asyncio.gather(*(ensemble.play(one, 24_000, quiet) for one in music))
    hand.close()
    for one, heard in zip(music, together, strict=True):
        assert np.abs(heard.samples - maker.score(one, 24_000, 48_000, quiet).samples).max() < 1e-4


@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0, 47.0])
def test_any_length_is_exact_to_the_sample_and_ends_in_silence(mono: Path, seconds: float) -> None:
    samples = round(seconds * 48_000) + 1
    heard = opened(mono).score(JOBS[0], samples, 48_000, quiet)
    assert heard.samples.shape == (samples, 2)
    assert heard.samples.dtype == np.float32
    assert np.isfinite(heard.samples).all()
    assert 0.01 < np.abs(heard.samples).max() <= 0.9
    assert np.abs(heard.samples[[0, -1]]).max() < 1e-3


def test_a_seed_plays_the_same_alone_and_in_company_and_another_does_not(mono: Path) -> None:
    maker = opened(mono)
    alone, company = maker.codes(JOBS[:1], 60, quiet), maker.codes((*JOBS, *JOBS), 60, quiet)
    assert torch.equal(alone[0], company[0])
    assert torch.equal(company[0], company[2])
    assert not torch.equal(company[0], company[1])


def test_beyond_the_window_it_goes_on_from_what_was_played(mono: Path) -> None:
    maker = opened(mono)
    steps: list[tuple[int, int]] = []
    long = maker.codes(JOBS[:1], 1700, lambda done, total: steps.append((done, total)))
    assert long.shape == (1, 4, 1700)
    assert torch.equal(long[:, :, :1500], maker.codes(JOBS[:1], 1500, quiet))
    done = [one for one, _ in steps]
    assert done == sorted(done)
    assert steps[-1] == (1700, 1700)


def test_it_stops_within_a_step(mono: Path) -> None:
    seen: list[int] = []

    def stop(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 7:
            raise Cancelled

    maker = opened(mono)
    with pytest.raises(Cancelled):
        maker.score(JOBS[0], 48_000, 48_000, stop)
    assert len(seen) == 7
    assert maker.codes(JOBS[:1], 8, quiet).shape == (1, 4, 8)


def test_a_tune_changes_what_a_melody_model_plays(tmp_path: Path) -> None:
    maker = opened(tiny_weights.save_melody(tmp_path / "weights"), top_k=1)
    tune = tmp_path / "tune.wav"
    times = np.arange(32_000) / 32_000
    with wave.open(str(tune), "wb") as file:
        file.setparams((1, 2, 32_000, 0, "NONE", ""))
        file.writeframes((12_000 * np.sin(2 * np.pi * 392 * times)).astype("<i2").tobytes())
    followed = maker.codes([Music(genre="x", maker="m", words="pop", melody=str(tune))], 30, quiet)
    free = maker.codes([Music(genre="x", maker="m", words="pop")], 30, quiet)
    assert not torch.equal(followed, free)


def test_missing_broken_and_pickled_weights_are_told_apart(mono: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        opened(tmp_path / "nowhere")
    with pytest.raises(ModelBroken):
        opened(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelBroken, match="pickled"):
        opened(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in mono.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelBroken):
        opened(broken)
