"""The parser for options typed in a chat: every accepted spelling, and suggestions for typos."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import BadOption
from bot.frontends.telegram.option_parser import parse_wish
from bot.frontends.telegram.recipe_text import recipe_command
from generation.errors import UnknownChoice
from generation.request import Kind, MusicWish, Wish
from tests.factories import make_music, make_request

pytestmark = pytest.mark.slow

GENRES = ("lofi", "jazz", "hip-hop", "classical")


def test_all_kinds_of_options_in_one_command() -> None:
    wish = parse_wish("a fox in the snow #lofi 8s 9:16 seed=7 --no-music", genres=GENRES)
    assert wish == Wish(
        prompt="a fox in the snow", seconds=8.0, aspect="9:16", seed=7, music=MusicWish(genre="none")
    )


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("fox", Wish(prompt="fox")),
        ("8s fox #jazz", Wish(prompt="fox", seconds=8.0, music=MusicWish(genre="jazz"))),
        ("fox 2,5sec", Wish(prompt="fox", seconds=2.5)),
        ("fox 704x512 12fps", Wish(prompt="fox", width=704, height=512, fps=12.0)),
        ("fox 92bpm", Wish(prompt="fox", music=MusicWish(tempo="92"))),
        ("fox #hiphop", Wish(prompt="fox", music=MusicWish(genre="hip-hop"))),
        ("fox genre:jazz mood=calm", Wish(prompt="fox", music=MusicWish(genre="jazz", mood="calm"))),
        ("fox --seed 7 --steps=9", Wish(prompt="fox", seed=7, steps=9)),
        ("fox —no-music", Wish(prompt="fox", music=MusicWish(genre="none"))),
        ('fox negative="blurry, text"', Wish(prompt="fox", negative="blurry, text")),
        ("fox negative=“blurry text”", Wish(prompt="fox", negative="blurry text")),
        ("fox instruments=piano,flute", Wish(prompt="fox", music=MusicWish(instruments=("piano", "flute")))),
        ("fox length=4", Wish(prompt="fox", seconds=4.0)),
        ("a car of the 80s", Wish(prompt="a car of the 80s")),
        ('a sign that says "open"', Wish(prompt='a sign that says "open"')),
        ("E=mc2 on a wall", Wish(prompt="E=mc2 on a wall")),
        ("meeting at 9:16:20 o'clock: late", Wish(prompt="meeting at 9:16:20 o'clock: late")),
        ("rock & roll 🦊", Wish(prompt="rock & roll 🦊")),
        ("", Wish(prompt="")),
    ],
)
def test_each_option_syntax_is_read(text: str, wish: Wish) -> None:
    assert parse_wish(text, genres=GENRES) == wish


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("fox #jaz", "jazz"),
        ("fox sed=7", "seed"),
        ("fox --aspct 9:16", "aspect"),
        ("fox --no-musc", "no-music"),
    ],
)
def test_typo_gets_a_suggestion(text: str, near: str) -> None:
    with pytest.raises(UnknownChoice) as caught:
        parse_wish(f"fox {text}", genres=GENRES)
    assert caught.value.near == near


@pytest.mark.parametrize("text", ["seed=abc", "seconds=long", "size=big", "--seed", "steps=-1"])
def test_invalid_value_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse_wish(f"fox {text}", genres=GENRES)
    assert caught.value.example


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        wish = parse_wish(text, genres=GENRES)
    except (BadOption, UnknownChoice):
        return
    assert wish.kind is Kind.VIDEO


words = st.lists(
    st.sampled_from(["fox", "snow", "Ünter", "don't", "1980", "a:b", "ratio"]), min_size=1, max_size=6
)


@given(
    words=words,
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 200),
    bpm=st.integers(40, 220),
    guidance=st.sampled_from([0.0, 1.2, 3.0, 12.5]),
    negative=st.sampled_from(["", "blurry", "low quality, text"]),
    instruments=st.sampled_from([(), ("piano",), ("electric piano", "flute")]),
)
def test_recipe_command_round_trips(
    words: list[str],
    seed: int,
    frames: int,
    bpm: int,
    guidance: float,
    negative: str,
    instruments: tuple[str, ...],
) -> None:
    music = make_music(genre="jazz", mood="calm", bpm=bpm, instruments=instruments)
    request = make_request(
        " ".join(words), model="tiny", width=704, height=512, frames=frames, seed=seed, steps=20,
        guidance=guidance, music=music, negative=negative,
    )  # fmt: skip
    command, _, text = recipe_command(request).partition(" ")
    wish = parse_wish(text, genres=GENRES)
    assert command == "/video"
    assert (wish.prompt, wish.seed, wish.negative, wish.guidance) == (
        request.prompt,
        seed,
        negative,
        guidance,
    )
    assert (wish.width, wish.height, wish.steps, wish.model) == (704, 512, 20, "tiny")
    assert (wish.music.genre, wish.music.tempo, wish.music.instruments) == ("jazz", str(bpm), instruments)
    assert wish.seconds is not None
    assert round(wish.seconds * 24.0) == frames
