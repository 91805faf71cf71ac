from random import Random

import numpy as np

from training.pocket import captions, detect
from training.pocket.backgrounds import SIZE
from training.pocket.handwritten_captions import free_captions, known_word_captions
from training.pocket.procedural_clips import FRAMES, draw_clip, split_specs


def test_the_same_spec_and_seed_make_the_same_pixels() -> None:
    play = split_specs()[0][0]
    first, second = draw_clip(play, Random(1)), draw_clip(play, Random(1))
    assert first.shape == (FRAMES, SIZE, SIZE, 3)
    assert (first == second).all()
    assert (first != draw_clip(play, Random(2))).any()


def test_held_out_specs_are_never_trained_on() -> None:
    train, held = split_specs()
    assert len(held) >= 0.05 * len(train)
    assert not set(train) & set(held)
    assert len(set(train) | set(held)) == len(train) + len(held)


def test_every_value_of_every_attribute_is_trained_on() -> None:
    train, held = split_specs()
    for play in held:
        for name in ("colour", "actor", "motion", "place", "time"):
            assert any(getattr(play, name) == getattr(other, name) for other in train)


def test_held_out_wordings_are_never_trained_on() -> None:
    assert not set(captions.TEMPLATES) & set(captions.HELD_OUT_TEMPLATES)
    random = Random(0)
    trained = {captions.training_caption(play, random) for play in split_specs()[0]}
    assert not trained & {captions.held_out_caption(play, random) for play in split_specs()[1]}


def test_captions_are_drawn_from_the_seed() -> None:
    play = split_specs()[0][5]
    draws = [[captions.training_caption(play, Random(seed)) for seed in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 15


def test_night_is_always_said_and_space_has_no_time() -> None:
    random, nights = Random(3), {w for p in captions.PHRASES["time"]["night"] for w in [p]}
    for play in split_specs()[0][:400]:
        said = captions.complete_caption(play, random)
        if play.place == "space":
            assert not any(p in said for times in captions.PHRASES["time"].values() for p in times)
        elif play.time == "night":
            assert any(p in said for p in nights)


def test_handwritten_captions_ask_for_specs_that_exist() -> None:
    every = {*split_specs()[0], *split_specs()[1]}
    asked = [*known_word_captions(), *free_captions()]
    assert len({said for said, _ in asked}) == len(asked) >= 100
    assert all(play in every for _, play in asked)


def test_the_detector_reads_real_clips() -> None:
    sample = split_specs()[1][:8]
    read = [detect.detect_spec(draw_clip(play, Random(50 + i))) for i, play in enumerate(sample)]
    assert read == list(sample)


def test_the_detector_is_not_fooled_by_a_still_figure() -> None:
    spinning = next(play for play in split_specs()[0] if play.motion == "spin" and play.actor == "rocket")
    clip = draw_clip(spinning, Random(1))
    assert detect.detect_spec(clip).motion == "spin"
    assert not detect.detect_spec(np.repeat(clip[:1], FRAMES, axis=0)).motion
