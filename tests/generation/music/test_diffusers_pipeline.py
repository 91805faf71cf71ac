"""ACE-Step and Stable Audio: loaded like real weights, exact in length, cancelled within a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generation.errors import ModelBroken, ModelMissing
from generation.music.common.registry import MusicMaker, load
from generation.progress import Cancelled
from generation.request import Music
from tests.generation.music import tiny_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),  # raised in the autoencoder
]

SAVED = {"acestep": tiny_weights.save_acestep, "stableaudio": tiny_weights.save_stableaudio}
LOFI = Music(genre="lofi", maker="m", words="warm lofi", bpm=82, seed=4)


@pytest.fixture(scope="session", params=SAVED)
def maker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MusicMaker:
    folder = SAVED[request.param](tmp_path_factory.mktemp(request.param))
    return load("preset", {"maker": request.param, "name": "preset", "source": str(folder), "steps": 3})


@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0, 47.0])
def test_any_length_is_exact_to_the_sample(maker: MusicMaker, seconds: float) -> None:
    samples = round(seconds * 48_000) + 1
    steps: list[tuple[int, int]] = []
    audio = maker.compose(LOFI, samples, 48_000, lambda done, total: steps.append((done, total)))
    assert audio.samples.shape == (samples, 2)
    assert np.isfinite(audio.samples).all()
    assert 0 < np.abs(audio.samples).max() <= 0.9
    assert np.abs(audio.samples[[0, -1]]).max() < 1e-3
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_the_same_seed_gives_the_same_music(maker: MusicMaker) -> None:
    def ignore_progress(_done: int, _total: int) -> None:
        pass

    first, again, other = (
        maker.compose(
            Music(genre="lofi", maker="m", words="warm", seed=seed), 48_000, 48_000, ignore_progress
        ).samples
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_cancel_stops_within_a_step_and_the_maker_still_works(maker: MusicMaker) -> None:
    seen: list[int] = []

    def stop(done: int, _total: int) -> None:
        seen.append(done)
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        maker.compose(LOFI, 48_000, 48_000, stop)
    assert seen == [0, 1, 2]
    assert maker.compose(LOFI, 4_800, 48_000, lambda _d, _t: None).samples.shape == (4_800, 2)


def test_missing_and_broken_weights_are_distinguished(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        load("ace-step", {"maker": "acestep", "name": "ace-step", "source": str(tmp_path / "none")})
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 8)
    with pytest.raises(ModelBroken):
        load("ace-step", {"maker": "acestep", "name": "ace-step", "source": str(tmp_path)})
