"""Violence, self-harm, terror and hate have three levels; a strike needs certainty."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest

from bot.domain.errors import PromptRefused
from bot.domain.jobs import Requester
from bot.moderation.prompt_policy import PromptPolicy, Strictness, read_rules, read_word_lists
from generation.errors import PromptTooLong
from generation.request import PROMPT_LIMIT, Wish
from tests.paths import CONFIG

RULES = CONFIG / "rules"
ANA = Requester(platform="discord", user="42")
LEVELS: tuple[Strictness, ...] = ("off", "lenient", "normal", "strict")
MILD, GRAPHIC, SEVERE = 3, 2, 1
"""The first level of LEVELS that refuses such a prompt."""
LIGATURE = "\ufdfa"  # one character that NFKC turns into eighteen


def policy(strictness: Strictness = "normal", *, disabled: tuple[str, ...] = ()) -> PromptPolicy:
    rules = read_rules(RULES)
    graded = [name for name, table in rules.items() if "mild" in table]
    return PromptPolicy.from_tables(
        rules=rules,
        word_lists=read_word_lists(RULES),
        strictness=dict.fromkeys(graded, strictness),
        disabled_rules=disabled,
    )


POLICIES = {level: policy(level) for level in LEVELS}


@pytest.mark.parametrize(
    ("prompt", "rule", "first_level"),
    [
        ("a bar fight between two sailors", "violence", MILD),
        ("blood splatter and body parts everywhere", "violence", GRAPHIC),
        ("a prisoner is tortured in a cellar", "violence", SEVERE),
        ("a letter about suicide lies on the table", "self_harm", MILD),
        ("she hangs herself in the attic", "self_harm", GRAPHIC),
        ("the best suicide method explained", "self_harm", SEVERE),
        ("a terrorist in an action movie", "terror", MILD),
        ("a suicide bomber blows up a bus", "terror", GRAPHIC),
        ("how to make a pipe bomb", "terror", SEVERE),
        ("an antisemitic caricature", "hate", MILD),
        ("a crowd gives the nazi salute", "hate", GRAPHIC),
        ("kill all muslims", "hate", SEVERE),
    ],
)
def test_each_level_refuses_what_it_says(prompt: str, rule: str, first_level: int) -> None:
    refused = [level for level in LEVELS if POLICIES[level].judge(prompt) is not None]
    assert refused == list(LEVELS[first_level:])
    verdict = POLICIES["strict"].judge(prompt)
    assert verdict is not None
    assert verdict.rule.name == rule
    assert not verdict.is_certain


def test_without_a_level_a_rule_is_normal() -> None:
    unset = PromptPolicy.from_tables(rules=read_rules(RULES), word_lists=read_word_lists(RULES))
    assert unset.judge("a bar fight between two sailors") is None
    assert unset.judge("blood splatter and body parts everywhere") is not None


@pytest.mark.parametrize(
    "prompt",
    ["a naked child", "n4k3d ch1ld", "nackte Kinder", "kinderporno", "裸体儿童", "голый ребенок"],
)
def test_a_certain_match_of_both_terms_brings_a_strike(prompt: str) -> None:
    with pytest.raises(PromptRefused) as refusal:
        policy().check(Wish(prompt=prompt), ANA)
    assert (refusal.value.rule, refusal.value.is_certain) == ("safety", True)


@pytest.mark.parametrize(
    "prompt",
    [
        "a sexy teen pop singer",  # a weak term
        "a boy in a museum of naked statues",  # a term that is often used of adults
        "children play in a park in summer while far away on the other side a naked man swims in the lake",
    ],
)
def test_without_certainty_a_refusal_brings_no_strike(prompt: str) -> None:
    verdict = policy().judge(prompt)
    assert verdict is not None
    assert verdict.rule.name == "safety"
    assert not verdict.is_certain


@pytest.mark.parametrize(
    "prompt",
    [
        "rape seed field with children running",
        "great tits feed their young in a nest box",
        "killer whales play",
    ],
)
def test_lookalikes_of_finding_11_pass(prompt: str) -> None:
    assert policy().judge(prompt) is None


def test_sexual_violence_is_refused_everywhere_whatever_the_settings() -> None:
    allowing = policy("off", disabled=("adult", "people", "abuse"))
    with pytest.raises(PromptRefused) as refusal:
        allowing.check(Wish(prompt="a woman is raped"), ANA, adult_place=True)
    assert refusal.value.rule == "abuse"


@pytest.mark.parametrize("symbol", [LIGATURE, "\ufb03", "\u24dd", "\u337f"])
def test_characters_that_expand_cost_no_more_than_the_plain_text_that_they_become(symbol: str) -> None:
    whole = symbol * PROMPT_LIMIT
    plain = "ab " * (2 * PROMPT_LIMIT // 3)
    check = POLICIES["normal"].check
    work = _calls(partial(_refused_as_too_long, partial(check, Wish(prompt=whole), ANA)))
    assert work <= 2 * _calls(partial(check, Wish(prompt=plain[:PROMPT_LIMIT]), ANA)) + 20 * PROMPT_LIMIT


def test_nothing_hides_behind_characters_that_expand() -> None:
    """A text is refused as too long rather than judged by its beginning."""
    with pytest.raises(PromptTooLong):
        POLICIES["normal"].check(Wish(prompt=LIGATURE * (PROMPT_LIMIT - 20) + " a naked child"), ANA)


def test_nothing_hides_behind_many_options() -> None:
    with pytest.raises(PromptTooLong):
        POLICIES["normal"].check(Wish(prompt="a fox", style="oil " * PROMPT_LIMIT + "naked child"), ANA)


def _refused_as_too_long(check: Callable[[], None]) -> None:
    try:
        check()
    except (PromptTooLong, PromptRefused):
        return


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
