from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from training.pocket import captions, principal_components, text, training_run, transformer, vae
from training.pocket.principal_components import Basis
from training.pocket.procedural_clips import draw_clip, split_specs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def basis() -> Basis:
    """A random orthonormal basis: fitting a real one takes too long for these tests."""
    torch.set_num_threads(1)
    noise = torch.randn(3072, principal_components.CHANNELS, generator=torch.Generator().manual_seed(0))
    return Basis(torch.zeros(3072), torch.linalg.qr(noise)[0])


def _trainer(basis: Basis) -> transformer.Trainer:
    train = split_specs()[0][:8]
    clips = np.stack([draw_clip(spec, Random(i)) for i, spec in enumerate(train)])
    return transformer.Trainer(basis.encode(torch.from_numpy(clips)), train)


def _same(first: list[torch.nn.Parameter], second: list[torch.nn.Parameter]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_resumed_transformer_equals_an_uninterrupted_one(basis: Basis, tmp_path: Path) -> None:
    uninterrupted, interrupted, resumed = (_trainer(basis) for _ in range(3))
    losses = [uninterrupted.train_step(2, 1.0) for _ in range(4)]
    for _ in range(2):
        interrupted.train_step(2, 1.0)
    training_run.save(tmp_path / "state.pt", interrupted.state())
    state = training_run.load(tmp_path / "state.pt")
    assert state is not None
    resumed.restore(state)
    assert [resumed.train_step(2, 1.0) for _ in range(2)] == losses[2:]
    assert _same(resumed.parameters, uninterrupted.parameters)
    assert not _same(resumed.parameters, interrupted.parameters)


def test_a_resumed_vae_equals_an_uninterrupted_one(basis: Basis, tmp_path: Path) -> None:
    uninterrupted, interrupted, resumed = (
        vae.Trainer(basis, rate=1e-3, sample=4, held_out=2) for _ in range(3)
    )
    losses = [uninterrupted.train_step(1, 1.0) for _ in range(2)]
    interrupted.train_step(1, 1.0)
    training_run.save(tmp_path / "state.pt", interrupted.state())
    state = training_run.load(tmp_path / "state.pt")
    assert state is not None
    resumed.restore(state)
    assert resumed.train_step(1, 1.0) == losses[1]
    assert _same(resumed.parameters, uninterrupted.parameters)


def test_latent_frames_are_those_of_a_causal_vae(basis: Basis) -> None:
    clip = torch.from_numpy(draw_clip(split_specs()[0][0], Random(1)))[None]
    changed = clip.clone()
    changed[:, 5:9] = 0
    gap = (basis.encode(clip) - basis.encode(changed)).abs().amax((0, 1, 3, 4))
    assert [bool(g > 0) for g in gap] == [False, False, True, False, False]


def test_the_tokenizer_lower_cases_strips_accents_and_knows_its_words() -> None:
    tokenizer = text.tokenizer(free_phrasing=False)
    plain, loud = (
        tokenizer("a red rocket rising")["input_ids"],
        tokenizer("A RÉD rocket, rising!")["input_ids"],
    )
    assert plain == loud
    assert tokenizer("")["input_ids"] == [tokenizer.eos_token_id]
    assert tokenizer.unk_token_id in tokenizer("a red zeppelin")["input_ids"]
    known = {
        word for word in captions.known_words() if tokenizer.unk_token_id not in tokenizer(word)["input_ids"]
    }
    assert known == set(captions.known_words())


@pytest.mark.parametrize(
    ("prompt", "equivalent"),
    [
        ("Please show me two BALLS, bouncing up and down!", "bouncing ball"),
        ("a rocket blasts off into a starry sky", "a rocket rising at night"),
        ("a car driving through the city", "moving right car in the city"),
        ("the car drives to the left", "the car moving left"),
        ("a red ball on green grass under a blue sky", "a red ball in a meadow"),
        ("a dark blue star in the dark", "a blue star at night"),
        ("a fox in the snow", "a cat in the snow"),
        ("a cat and a dog", "a cat and"),
        ("a bird in the sky over the sea", "a bird over the sea"),
        ("a bird in the sky", "a bird in the sky"),
    ],
)
def test_free_phrasing_is_replaced_by_training_phrases(prompt: str, equivalent: str) -> None:
    """Order and function words may differ; all other words must be the same."""
    function_words = {"a", "an", "the", "of", "under", "on", "in", "at", "over", "and", "to", "by"}
    tokenizer = text.tokenizer()
    found, expected = (
        set(tokenizer.convert_ids_to_tokens(tokenizer(line)["input_ids"])) for line in (prompt, equivalent)
    )
    assert found - function_words == expected - function_words


def test_synonyms_start_with_similar_embeddings() -> None:
    torch.manual_seed(0)
    vocabulary = text.tokenizer().get_vocab()
    weight = text.encoder(vocabulary).shared.weight
    red, crimson, blue = (weight[vocabulary[word]] for word in ("red", "crimson", "blue"))
    assert torch.cosine_similarity(red, crimson, dim=0) > 0.9
    assert torch.cosine_similarity(red, blue, dim=0) < 0.5
