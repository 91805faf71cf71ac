"""Content rules for prompts, with word lists from config/rules/ and a text classifier."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol

from bot.domain.errors import PromptRefused
from bot.domain.jobs import Requester
from bot.moderation.lexicon import Finding, Lexicon
from bot.moderation.text_normalization import normalize_text, scripts_of
from generation.errors import PromptTooLong
from generation.request import PROMPT_LIMIT, Wish

ADULT_PLACE = "adult place"
MAX_NORMALIZED_LENGTH = 2 * PROMPT_LIMIT
"""Characters of a text after normalization. Prompts of compatibility characters that expand exceed it."""
STRIKE_DISTANCE = 40
"""Letters between two terms of which a strike is certain."""
GRADES = ("severe", "graphic", "mild")
Strictness = Literal["off", "lenient", "normal", "strict"]
GRADES_REFUSED: Mapping[Strictness, int] = {"off": 0, "lenient": 1, "normal": 2, "strict": 3}
"""How many grades, from the most severe one on, are refused."""
GRADED_RULES = ("violence", "self_harm", "terror", "hate")


class Classifier(Protocol):
    """Scores a text for each class, from 0 to 1. The thresholds belong to the classifier."""

    def scores(self, text: str) -> Mapping[str, float]: ...

    def is_broken(self, label: str, score: float) -> bool:
        """Whether the score alone is enough to refuse."""

    def is_suspicious(self, label: str, score: float) -> bool:
        """Whether the score confirms an uncertain match of the lists."""

    def is_harmless(self, label: str, score: float) -> bool:
        """Whether the score is low enough to overrule a match of the lists."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    lists: tuple[str, ...]
    severe: bool = False
    also: tuple[str, ...] = ()  # alternative lists that break the rule
    unless: str = ""
    negative: bool = True  # applies to negative prompts too
    suspicious: tuple[tuple[str, ...], ...] = ()  # lists that break the rule if the classifier agrees
    label: str = ""  # the class of the classifier

    def is_broken_by(self, matched_lists: frozenset[str]) -> bool:
        return any(_has_all(lists, matched_lists) for lists in (self.lists, self.also))

    def is_suspected(self, matched_lists: frozenset[str]) -> bool:
        return any(_has_all(lists, matched_lists) for lists in self.suspicious)


def _has_all(lists: Sequence[str], matched_lists: frozenset[str]) -> bool:
    return bool(lists) and all(not matched_lists.isdisjoint(alternatives.split()) for alternatives in lists)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rule that a text breaks. Only a certain match of a severe rule brings a strike."""

    rule: Rule
    is_certain: bool = False


class PromptPolicy:
    """Checks every wish before it costs credits. A refusal names its rule, not the words that matched."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        lexicon: Lexicon | None = None,
        allowed_scripts: frozenset[str] = frozenset(),
        classifier: Classifier | None = None,
    ) -> None:
        self._rules = rules
        self._lexicon = lexicon or Lexicon({})
        self._allowed_scripts = allowed_scripts
        self._classifier = classifier

    @classmethod
    def from_tables(  # noqa: PLR0913  (keyword-only; most have a default)
        cls,
        *,
        rules: Mapping[str, Any],
        word_lists: Mapping[str, Any],
        operator_words: Iterable[str] = (),
        person_names: Iterable[str] = (),
        allowed_scripts: Iterable[str] = (),
        disabled_rules: Iterable[str] = (),
        strictness: Mapping[str, Strictness] | None = None,
        classifier: Classifier | None = None,
    ) -> PromptPolicy:
        """Build the policy from the parsed files.

        `operator_words` and `person_names` are the operator's additions. Prompts may use only
        `allowed_scripts`, if there are any. `disabled_rules` do not apply, unless a rule is marked "always".
        `strictness` of a graded rule is "normal" unless it is named.
        """
        all_lists = {**word_lists, "persons": {**word_lists.get("persons", {}), "own": list(person_names)}}
        disabled = set(disabled_rules)
        active_rules: list[Rule] = []
        for name, table in rules.items():
            if "mild" in table:
                refused = GRADES_REFUSED[(strictness or {}).get(name, "normal")]
                active_rules += [
                    _read_rule(name, table[grade], f"{name}.{grade}") for grade in GRADES[:refused]
                ]
            elif table.get("always") or name not in disabled:
                active_rules.append(_read_rule(name, table, table.get("class", "")))
        return cls(active_rules, Lexicon(all_lists, operator_words), frozenset(allowed_scripts), classifier)

    def check(self, wish: Wish, requester: Requester, *, adult_place: bool = False) -> None:
        """Raises PromptRefused or PromptTooLong. The rules apply to admins too."""
        del requester
        if len(wish.negative) > PROMPT_LIMIT:
            raise PromptTooLong(len(wish.negative), PROMPT_LIMIT)
        described = _described_text(wish)
        for text in (described, wish.negative):
            _check_length(text)
        undressed = self._lexicon.excludes_clothing(wish.negative)
        verdict = self.judge(described, adult_place=adult_place, undressed=undressed)
        if verdict is None and wish.negative:
            verdict = self.judge(wish.negative, adult_place=adult_place, negative=True)
        if verdict:
            raise PromptRefused(verdict.rule.name, is_certain=verdict.is_certain)
        if (
            self._allowed_scripts
            and not scripts_of(f"{wish.prompt} {wish.negative}") <= self._allowed_scripts
        ):
            raise PromptRefused("language")

    def first_broken_rule(
        self, text: str, *, adult_place: bool = False, negative: bool = False, undressed: bool = False
    ) -> Rule | None:
        verdict = self.judge(text, adult_place=adult_place, negative=negative, undressed=undressed)
        return verdict.rule if verdict else None

    def judge(
        self, text: str, *, adult_place: bool = False, negative: bool = False, undressed: bool = False
    ) -> Verdict | None:
        """The first rule that the text breaks; `undressed` if the negative prompt names clothing."""
        evidence = Evidence(self._lexicon, self._classifier, text, undressed=undressed)
        for rule in self._rules:
            lifted = (adult_place and rule.unless == ADULT_PLACE) or (negative and not rule.negative)
            if not lifted and evidence.breaks(rule):
                return Verdict(rule, is_certain=rule.severe and evidence.is_certain(rule))
        return None

    def is_severe(self, name: str) -> bool:
        return any(rule.severe for rule in self._rules if rule.name == name)


class Evidence:
    """What lists and classifier say about one text."""

    def __init__(
        self, lexicon: Lexicon, classifier: Classifier | None, text: str, *, undressed: bool = False
    ) -> None:
        self._classifier = classifier
        self._findings = lexicon.search(text)
        self._simplest = lexicon.simplest_reading(text)
        self._implied = frozenset({"sexual"} if undressed else ())
        self._scores: dict[str, Mapping[str, float]] = {}

    def breaks(self, rule: Rule) -> bool:
        return (
            self._by_terms(rule)
            or self._by_suspicion(rule)
            or (self._classifier is not None and self._classifier.is_broken(rule.label, self._score(rule)))
        )

    def is_certain(self, rule: Rule) -> bool:
        """Whether one term names both, or two stand close together, in a reading that is no guess."""
        if self._classifier is not None and not self._classifier.is_suspicious(rule.label, self._score(rule)):
            return False
        return any(
            "exploitation" in one.lists or one.are_close(CERTAIN_YOUNG, CERTAIN_SEXUAL, STRIKE_DISTANCE)
            for one in self._findings
            if not one.reading.is_guess
        )

    def _by_terms(self, rule: Rule) -> bool:
        matched = frozenset().union(
            self._implied, *(one.lists for one in self._findings if not one.reading.is_guess)
        )
        if not rule.is_broken_by(matched):
            return False
        if self._classifier is None or rule.severe:
            return True
        return not self._classifier.is_harmless(rule.label, self._score(rule))

    def _by_suspicion(self, rule: Rule) -> bool:
        """Guessed readings, and lists that are harmless in most company, count if the classifier agrees."""
        if self._classifier is None:
            return False
        for one in self._findings:
            suspected = rule.is_suspected(one.lists) or (
                one.reading.is_guess and rule.is_broken_by(one.lists)
            )
            if suspected and self._classifier.is_suspicious(rule.label, self._score(rule, one)):
                return True
        return False

    def _score(self, rule: Rule, finding: Finding | None = None) -> float:
        """The score of the rule's class for a reading, or for the simplest one."""
        if self._classifier is None:
            return 0.0
        text = finding.reading.text if finding else self._simplest
        if text not in self._scores:
            self._scores[text] = self._classifier.scores(text)
        return self._scores[text].get(rule.label, 0.0)


CERTAIN_YOUNG = ("young",)
CERTAIN_SEXUAL = ("sexual", "abuse")


def read_word_lists(folder: Path) -> dict[str, Any]:
    """The word lists of a rules folder, by the names that rules.toml uses."""
    lists = _read_toml(folder / "words.toml") | {"common_words": _read_toml(folder / "common_words.toml")}
    for name in GRADED_RULES:
        tables = _read_toml(folder / f"{name}.toml")
        lists |= {f"{name}.{table}": languages for table, languages in tables.items()}
    return lists


def read_rules(folder: Path) -> dict[str, Any]:
    return _read_toml(folder / "rules.toml")


def _read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def _read_rule(name: str, table: Mapping[str, Any], label: str) -> Rule:
    options = {key: value for key, value in table.items() if key in {"severe", "unless", "negative"}}
    return Rule(
        name,
        tuple(table["lists"]),
        also=tuple(table.get("also", ())),
        suspicious=tuple(map(tuple, table.get("suspicious", ()))),
        label=label,
        **options,
    )


def _check_length(text: str) -> None:
    """Raises PromptTooLong for a text that is too long to check, if only once it is normalized."""
    length = len(text) if text.isascii() or len(text) > MAX_NORMALIZED_LENGTH else len(normalize_text(text))
    if length > MAX_NORMALIZED_LENGTH:
        raise PromptTooLong(length, PROMPT_LIMIT)


def _described_text(wish: Wish) -> str:
    """All text that describes the clip, with the names of attached files."""
    paths = (wish.image, wish.source, wish.music.track, wish.music.melody)
    names = [PurePath(path).stem for path in paths if path]
    music = wish.music
    options = (wish.style, wish.camera, wish.aspect, music.genre, music.mood, music.tempo)
    return " ".join([wish.prompt, *filter(None, options), *music.instruments, *names])


STRIKE_TIMEOUTS = (600.0, 3600.0, 86_400.0, 604_800.0)


def strike_timeout(strikes: int) -> float | None:
    """Seconds of the block after so many severe refusals; None until an admin lifts it."""
    return STRIKE_TIMEOUTS[strikes - 1] if strikes <= len(STRIKE_TIMEOUTS) else None
