"""A fresh engine loads a picture model and a music maker in two threads at once, and nothing breaks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from generation import Music
from generation.loading_gate import LoadingGate
from generation.models.common.preset import Preset
from generation.rendering.render import RenderContext
from tests.generation.models.conftest import build_preset, tiny_request

torch = pytest.importorskip("torch")

COLD_STARTS = 20
SAMPLES = 24_000


@pytest.fixture(scope="module")
def picture_preset(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    return build_preset("ltx", tmp_path_factory.mktemp("ltx"))


@pytest.fixture(scope="module", autouse=True)
def imported_modules_are_not_searched_for_garbage() -> Iterator[None]:
    """Each cold start collects garbage; without this most of its time goes into objects of the libraries."""
    gc.freeze()
    yield
    gc.unfreeze()


def save_maker(name: str, folder: Path) -> Path:
    from tests.generation.music import tiny_weights  # noqa: PLC0415  (imports torch)

    return {
        "musicgen": tiny_weights.save_musicgen,
        "melody": tiny_weights.save_melody,
        "acestep": tiny_weights.save_acestep,
        "stableaudio": tiny_weights.save_stableaudio,
    }[name](folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")  # raised in the autoencoders
@pytest.mark.parametrize("maker", ["musicgen", "melody", "acestep", "stableaudio"])
async def test_every_cold_start_gives_the_same_picture_and_music(
    maker: str, picture_preset: Preset, tmp_path: Path
) -> None:
    weights = save_maker(maker, tmp_path / "weights")
    family = "musicgen" if maker == "melody" else maker
    options = {maker: {"maker": family, "source": str(weights), "name": maker, "steps": 2, "device": "cpu"}}
    request = tiny_request("ltx", music=Music(genre="lofi", maker=maker, seed=3))
    pictures, pieces = [], []
    for _ in range(COLD_STARTS):
        context = RenderContext(maker_options=options)
        try:
            frames, audio = await asyncio.gather(
                context.picture_thread.run(
                    partial(context.models.generate_frames, picture_preset, request), ignore_steps
                ),
                context.music_batcher.compose(request.music, SAMPLES, ignore_steps),
            )
        finally:
            context.close()
        pictures.append(frames.pixels)
        pieces.append(audio.samples)
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
    assert all(np.array_equal(piece, pieces[0]) for piece in pieces)


def ignore_steps(_done: int, _total: int) -> None: ...


def test_a_load_waits_for_the_next_step_and_the_next_step_for_the_load() -> None:
    gate, happened = LoadingGate(), []
    first_step, loaded = threading.Event(), threading.Event()

    def compute() -> None:
        with gate.computing(lambda done, _: happened.append(f"step {done}")) as step:
            step(1, 2)
            first_step.set()
            while not loaded.is_set():
                step(2, 2)

    def load() -> None:
        first_step.wait(10)
        with gate.loading(), gate.loading():
            happened.append("load begins")
            for _ in range(2000):
                time.sleep(0)  # lets the other thread run, which makes steps without pause
            happened.append("load ends")
        loaded.set()

    threads = [threading.Thread(target=compute), threading.Thread(target=load)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert loaded.is_set()
    assert happened[0] == "step 1"
    begins = happened.index("load begins")
    assert happened[begins + 1] == "load ends"  # and no step between them


def test_a_thread_that_computes_may_load() -> None:
    gate, done = LoadingGate(), []

    def work() -> None:
        with gate.computing(lambda *_: None) as step, gate.loading():
            done.append(step)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 4
