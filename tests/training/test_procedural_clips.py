from random import Random

import numpy as np

from training.pocket import captions, detect
from training.pocket.backgrounds import SIZE
from training.pocket.handwritten_captions import free_captions, known_word_captions
from training.pocket.procedural_clips import FRAMES, draw_clip, split_specs


def test_the_same_spec_and_seed_give_the_same_pixels() -> None:
    spec = split_specs()[0][0]
    first, second = draw_clip(spec, Random(1)), draw_clip(spec, Random(1))
    assert first.shape == (FRAMES, SIZE, SIZE, 3)
    assert (first == second).all()
    assert (first != draw_clip(spec, Random(2))).any()


def test_held_out_specs_are_never_trained_on() -> None:
    train, held = split_specs()
    assert len(held) >= 0.05 * len(train)
    assert not set(train) & set(held)
    assert len(set(train) | set(held)) == len(train) + len(held)


def test_every_value_of_every_attribute_is_trained_on() -> None:
    train, held = split_specs()
    for spec in held:
        for name in ("colour", "actor", "motion", "place", "time"):
            assert any(getattr(spec, name) == getattr(other, name) for other in train)


def test_held_out_wordings_are_never_trained_on() -> None:
    assert not set(captions.TEMPLATES) & set(captions.HELD_OUT_TEMPLATES)
    random = Random(0)
    trained = {captions.training_caption(spec, random) for spec in split_specs()[0]}
    assert not trained & {captions.held_out_caption(spec, random) for spec in split_specs()[1]}


def test_captions_are_drawn_from_the_seed() -> None:
    spec = split_specs()[0][5]
    draws = [[captions.training_caption(spec, Random(seed)) for seed in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 15


def test_night_is_always_named_and_space_has_no_time() -> None:
    random, nights = Random(3), {w for p in captions.PHRASES["time"]["night"] for w in [p]}
    for spec in split_specs()[0][:400]:
        caption = captions.complete_caption(spec, random)
        if spec.place == "space":
            assert not any(p in caption for times in captions.PHRASES["time"].values() for p in times)
        elif spec.time == "night":
            assert any(p in caption for p in nights)


def test_handwritten_captions_ask_for_specs_that_exist() -> None:
    all_specs = {*split_specs()[0], *split_specs()[1]}
    pairs = [*known_word_captions(), *free_captions()]
    assert len({caption for caption, _ in pairs}) == len(pairs) >= 100
    assert all(spec in all_specs for _, spec in pairs)


def test_the_detector_reads_real_clips() -> None:
    sample = split_specs()[1][:8]
    read = [detect.detect_spec(draw_clip(spec, Random(50 + i))) for i, spec in enumerate(sample)]
    assert read == list(sample)


def test_the_detector_finds_no_motion_in_a_still_figure() -> None:
    spinning = next(spec for spec in split_specs()[0] if spec.motion == "spin" and spec.actor == "rocket")
    clip = draw_clip(spinning, Random(1))
    assert detect.detect_spec(clip).motion == "spin"
    assert not detect.detect_spec(np.repeat(clip[:1], FRAMES, axis=0)).motion
