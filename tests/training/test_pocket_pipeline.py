"""The shipped weights are as accurate as on the day they were shipped."""

import json

import pytest
import torch

from tests.paths import ROOT
from training.pocket import evaluate, lexicon
from training.pocket.handwritten_captions import free_captions, known_word_captions
from training.pocket.procedural_clips import FRAMES

SHIPPED = ROOT / "generation" / "pocket"
LARGEST = 12_000_000
LEAST = {
    "colour": 95,
    "setting": 95,
    "motion": 95,
    "shape": 90,
}  # One of the twenty clips less than on that day.

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHIPPED.exists(), reason="no weights have been exported yet"),
]


def test_the_folder_is_small_enough_for_the_repository() -> None:
    assert sum(f.stat().st_size for f in SHIPPED.rglob("*") if f.is_file()) < LARGEST


def test_weights_are_only_safetensors() -> None:
    assert {f.suffix for f in SHIPPED.rglob("*") if f.is_file()} == {".json", ".safetensors"}


def test_the_shipped_vocabulary_is_that_of_the_training_code() -> None:
    assert json.loads((SHIPPED / "vocabulary.json").read_text()) == lexicon.vocabulary()


def test_the_scores_are_good_enough_for_a_default() -> None:
    """Below these scores a test card would be the better default model."""
    for row in json.loads((SHIPPED / "scores.json").read_text())["scores"].values():
        assert row["colour"] >= 90
        assert row["setting"] >= 95
        assert row["motion"] >= 70


def test_scores_say_how_they_were_measured() -> None:
    facts = json.loads((SHIPPED / "scores.json").read_text())
    assert facts["detector"]["right"] >= 99
    assert facts["command"].startswith("python -m training.pocket.evaluate")
    assert all(row["n"] >= 40 for row in facts["scores"].values())


def test_accuracy_on_a_fixed_sample_has_not_dropped() -> None:
    torch.set_num_threads(1)
    pipe = evaluate.load(SHIPPED)
    pairs = [*known_word_captions()[:10], *free_captions()[-10:]]
    prompts = [text for text, _ in pairs]
    clips = evaluate.generate_clips(pipe, prompts, seed=0, steps=evaluate.STEPS, guidance=evaluate.GUIDANCE)
    assert clips[0].shape == (FRAMES, 64, 64, 3)
    scores = evaluate.measure_accuracy(pairs, clips)
    for name, least in LEAST.items():
        assert scores[name] >= least, name
