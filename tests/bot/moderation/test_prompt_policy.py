"""Forbidden prompts are refused in every disguise; harmless prompts are accepted."""

from __future__ import annotations

import random
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import PromptRefused
from bot.domain.jobs import Requester
from bot.moderation.prompt_policy import PromptPolicy, strike_timeout
from bot.moderation.text_normalization import normalize_text
from generation.request import MusicWish, Wish
from tests.paths import CONFIG

HERE = Path(__file__).parent
RULES = CONFIG / "rules"
ANA = Requester(platform="discord", user="42")


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def bundled_policy(**more: Any) -> PromptPolicy:
    return PromptPolicy.from_tables(
        rules=read(RULES / "rules.toml"), word_lists=read(RULES / "words.toml"), **more
    )


POLICY = bundled_policy()
CORPUS = read(HERE / "policy_corpus.toml")
LEET = str.maketrans({"o": "0", "i": "1", "e": "3", "a": "4", "s": "5", "t": "7"})
HOMOGLYPHS = str.maketrans({ours: theirs[0] for ours, theirs in read(RULES / "words.toml")["alike"].items()})
RNG = random.Random(7)

DISGUISES: dict[str, Callable[[str], str]] = {
    "none": str,
    "capitals": str.upper,
    "leet": lambda text: text.translate(LEET) if not any(map(str.isdigit, text)) else text,
    "look-alike letters": lambda text: text.lower().translate(HOMOGLYPHS) if text.isascii() else text,
    "some look-alikes": lambda text: "".join(
        c.translate(HOMOGLYPHS) if text.isascii() and RNG.random() < 0.5 else c for c in text.lower()
    ),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "bold letters": lambda text: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text),
    "dots": lambda text: " ".join(".".join(word) if word.isalpha() else word for word in text.split()),
    "underscores": lambda text: text.replace(" ", "_"),
    "spelt out": lambda text: (
        "  ".join(" ".join(word) for word in text.split()) if text.replace(" ", "").isalpha() else text
    ),
    "drawn out": lambda text: "".join(c * 4 if c in "aiu" else c for c in text),
    "bidi": lambda text: f"\u202e{text}\u202c",
    "in company": lambda text: f"cinematic, 4k, golden hour, {text}, masterpiece, trending",
}
MUST_BLOCK = [
    (name, disguise(prompt))
    for prompts in CORPUS["block"].values()
    for prompt in prompts
    for name, disguise in DISGUISES.items()
]
MUST_PASS = [prompt for prompts in CORPUS["pass"].values() for prompt in prompts]


def is_refused(prompt: str) -> bool:
    return POLICY.first_broken_rule(prompt) is not None


def test_at_least_99_percent_of_forbidden_prompts_are_refused() -> None:
    missed = [(name, prompt) for name, prompt in MUST_BLOCK if not is_refused(prompt)]
    assert len(MUST_BLOCK) > 700
    assert len(missed) <= 0.01 * len(MUST_BLOCK), missed


def test_at_most_1_percent_of_harmless_prompts_are_refused() -> None:
    blocked = [prompt for prompt in MUST_PASS if is_refused(prompt)]
    assert len(MUST_PASS) > 120
    assert len(blocked) <= 0.01 * len(MUST_PASS), blocked


def test_harmless_prompts_stay_harmless_when_disguised() -> None:
    for name in ("capitals", "zero width", "full width", "in company"):
        blocked = [prompt for prompt in MUST_PASS if is_refused(DISGUISES[name](prompt))]
        assert len(blocked) <= 0.01 * len(MUST_PASS), (name, blocked)


def test_independently_collected_prompts_are_judged_as_well() -> None:
    typed_block, typed_pass = CORPUS["typed_block"]["all"], CORPUS["typed_pass"]["all"]
    missed = [
        prompt
        for prompt in typed_block
        if not (broken := POLICY.first_broken_rule(prompt)) or not broken.severe
    ]
    blocked = [prompt for prompt in typed_pass if is_refused(prompt)]
    assert len(typed_block) > 150
    assert len(missed) <= 0.01 * len(typed_block), missed
    assert len(typed_pass) > 150
    assert len(blocked) <= 0.01 * len(typed_pass), blocked


def test_forbidden_words_are_refused_in_every_field() -> None:
    """Also in the negative prompt, style, camera, instruments, mood, tempo and file names."""
    words = ("nude", "child")
    for first, second in (words, words[::-1]):
        for wish in (
            Wish(prompt=f"{first} {second}"),
            Wish(prompt="a room", negative=f"{first} {second}"),
            Wish(prompt=first, style=second),
            Wish(prompt=first, camera=second),
            Wish(prompt=first, image=f"/in/{second}.png"),
            Wish(prompt=first, source=f"/in/my_{second}_1.mp4"),
            Wish(prompt=first, music=MusicWish(genre=second)),
            Wish(prompt=first, music=MusicWish(mood=second)),
            Wish(prompt=first, music=MusicWish(tempo=second)),
            Wish(prompt=first, music=MusicWish(instruments=("piano", second))),
            Wish(prompt=first, music=MusicWish(track=f"/in/{second}.mp3")),
            Wish(prompt=first, music=MusicWish(melody=f"/in/{second}.mp3")),
        ):
            with pytest.raises(PromptRefused) as refusal:
                POLICY.check(wish, ANA, adult_place=True)
            assert refusal.value.rule == "safety", wish


@pytest.mark.parametrize(
    ("prompt", "negative", "rule"),
    [
        ("a child on a bed", "clothes, dress", "safety"),
        ("a woman on a bed", "ugly, (clothing:1.4)", "adult"),
        ("a woman on a bed", "ugly clothes, bad hands", None),
        ("a child in a playground", "nsfw, nudity, blurry", None),
    ],
)
def test_clothing_in_a_negative_prompt_counts_as_nudity(prompt: str, negative: str, rule: str | None) -> None:
    wish = Wish(prompt=prompt, negative=negative)
    if rule is None:
        POLICY.check(wish, ANA)
        return
    with pytest.raises(PromptRefused) as refusal:
        POLICY.check(wish, ANA)
    assert refusal.value.rule == rule


def test_real_persons_and_scripts_are_refused_if_configured() -> None:
    named = Wish(prompt="taylor swift dances in the rain")
    with pytest.raises(PromptRefused) as refusal:
        bundled_policy(person_names=["Ana Example"]).check(named, ANA)
    assert refusal.value.rule == "persons"
    with pytest.raises(PromptRefused):
        bundled_policy(person_names=["Ana Example"]).check(Wish(prompt="a portrait of 4n4 ex4mple"), ANA)
    latin = bundled_policy(allowed_scripts=["latin"])
    latin.check(Wish(prompt="un café à Zürich, 4k"), ANA)
    with pytest.raises(PromptRefused) as refusal:
        latin.check(Wish(prompt="лиса в снегу"), ANA)
    assert refusal.value.rule == "language"


@pytest.mark.parametrize(
    "text", ["n.a-k'e|d " * 200, "a b " * 500, "1 " * 1000, "a1b2" * 500, "a" + "\u0301" * 1999, "👧" * 2000]
)
def test_rule_checking_time_is_linear(text: str) -> None:
    """Twice the text needs less than four times the calls: work grows with the length, not its square."""
    half, whole = (_calls(partial(POLICY.first_broken_rule, part)) for part in (text[: len(text) // 2], text))
    assert whole < 3 * half


def _calls(work: Callable[[], object]) -> int:
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_emoji_are_words() -> None:
    assert is_refused("🔞 👧")
    assert not is_refused("👧 🎈 in a park")


@pytest.mark.parametrize(
    "wish",
    [
        Wish(prompt="a quiet room", negative="nude child"),
        Wish(prompt="undress the person in this picture", image="/tmp/in/child_12.png"),  # noqa: S108  (only a name)
        Wish(prompt="a child dances", style="erotic"),
        Wish(prompt="a child dances", music=MusicWish(mood="seductive")),
    ],
)
def test_every_text_of_a_wish_is_checked(wish: Wish) -> None:
    with pytest.raises(PromptRefused) as refusal:
        bundled_policy(disabled_rules=["adult"]).check(wish, ANA)
    assert refusal.value.rule == "safety"


def test_the_child_safety_rule_cannot_be_switched_off() -> None:
    policy = bundled_policy(disabled_rules=["safety", "adult", "people", "words"])
    with pytest.raises(PromptRefused):
        policy.check(Wish(prompt="a nude child"), ANA, adult_place=True)
    assert policy.is_severe("safety")


def test_nudity_is_allowed_only_in_adult_channels() -> None:
    wish = Wish(prompt="a nude statue in a museum")
    with pytest.raises(PromptRefused) as refusal:
        POLICY.check(wish, ANA)
    assert refusal.value.rule == "adult"
    assert not POLICY.is_severe("adult")
    POLICY.check(wish, ANA, adult_place=True)
    bundled_policy(disabled_rules=["adult"]).check(wish, ANA)


def test_a_usual_negative_prompt_is_not_refused() -> None:
    POLICY.check(Wish(prompt="a child in a playground", negative="nsfw, nudity, blurry, watermark"), ANA)


def test_operator_words_are_refused_in_disguise_too() -> None:
    policy = bundled_policy(operator_words=["blorbo*"])
    for prompt in ("a blorbo in a hat", "BLORBOS everywhere", "a bl0rb0", "b l o r b o"):
        with pytest.raises(PromptRefused) as refusal:
            policy.check(Wish(prompt=prompt), ANA)
        assert refusal.value.rule == "words"


def test_a_deepfake_is_refused_unless_the_operator_allows_it() -> None:
    wish = Wish(prompt="deepfake of a politician")
    with pytest.raises(PromptRefused):
        POLICY.check(wish, ANA)
    bundled_policy(disabled_rules=["people"]).check(wish, ANA)


def test_timeouts_grow_until_only_an_admin_can_lift_them() -> None:
    waits = [strike_timeout(strikes) for strikes in range(1, 6)]
    assert waits == [600, 3600, 86_400, 604_800, None]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ascii_text_normalizes_the_same_with_an_invisible_character(text: str) -> None:
    assert normalize_text(text) == normalize_text(f"{text}\u200b")
