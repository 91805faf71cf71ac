"""May this be made here? Rules over what is asked, and where; their words stand in config/rules/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

from bot.errors import PromptRefused
from bot.job import Requester
from bot.plaintext import plain, spelt_out, views, without_spaces
from generation.request import Wish

ADULT_PLACE = "adult place"
MAJORITY = 18
APART = {"alike", "emoji", "harmless", "years"}
START, END = r"(?<!\w)", r"(?!\w)"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    lists: tuple[str, ...]
    severe: bool = False
    unless: str = ""
    negative: bool = True  # holds for negative prompts too

    def broken_by(self, met: frozenset[str]) -> bool:
        return all(not met.isdisjoint(alternatives.split()) for alternatives in self.lists)


class Lexicon:
    """Word lists, compiled: which of them does a text meet?"""

    def __init__(self, words: Mapping[str, Mapping[str, Any]], operator: Iterable[str] = ()) -> None:
        lists = {name: _flat(table) for name, table in words.items() if name not in APART}
        lists["operator"] = list(operator)
        self._whole = {name: _pattern(map(_term, terms)) for name, terms in lists.items()}
        self._spelt = {name: _pattern(filter(None, map(_run, terms))) for name, terms in lists.items()}
        self._harmless = _pattern(map(_term, _flat(words.get("harmless", {}))))
        alike = {ord(c): letter for letter, others in words.get("alike", {}).items() for c in others}
        self._views = partial(views, emoji=words.get("emoji", {}), alike=alike)
        self._age = _age_pattern(words["years"]) if "years" in words else re.compile(r"(?!)()()")

    def met(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        for view in self._views(text):
            rest = self._harmless.sub(" ", view)
            found |= {name for name, pattern in self._whole.items() if pattern.search(rest)}
            for run in spelt_out(view):
                found |= {name for name, pattern in self._spelt.items() if pattern.search(run)}
            if any(int(before or after) < MAJORITY for before, after in self._age.findall(rest)):
                found.add("young")
        return frozenset(found)


def _pattern(terms: Iterable[str]) -> re.Pattern[str]:
    alternatives = sorted(set(terms), key=len, reverse=True)
    return re.compile("|".join(alternatives) or r"(?!)")  # an empty list is never met


def _term(word: str) -> str:
    stem = plain(word.removesuffix("*"))
    escaped = r"\s+".join(map(re.escape, stem.split()))
    if without_spaces(stem):
        return escaped
    return rf"{START}{escaped}{'' if word.endswith('*') else END}"


def _run(word: str) -> str:
    """The term as it stands within letters run together; short ones would be found in anything."""
    stem = plain(word.removesuffix("*")).replace(" ", "")
    return re.escape(stem) if len(stem) >= (2 if without_spaces(stem) else 4) else ""


def _flat(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words in table.values() for word in words if word]


def _age_pattern(years: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    number = r"(?<!\d)(\d{1,2})(?!\d)"
    after = "|".join(_term(word).removeprefix(START) for word in years["all"])
    before = "|".join(re.escape(plain(word)) for word in years["before"])
    return re.compile(rf"{number}[\s\-]*(?:{after})|(?<!\w)(?:{before})[\s:]*{number}")


class Policy:
    """Every wish passes here before it costs anything; a refusal names its rule, and no words of it."""

    def __init__(self, rules: Sequence[Rule] = (), lexicon: Lexicon | None = None) -> None:
        self._rules = rules
        self._lexicon = lexicon or Lexicon({})

    @classmethod
    def read(
        cls,
        *,
        rules: Mapping[str, Any],
        words: Mapping[str, Any],
        operator: Iterable[str] = (),
        off: Iterable[str] = (),
    ) -> Policy:
        """From the parsed files; `operator` are words of one's own, `off` the rules that do not hold here."""
        lexicon = Lexicon(words, operator)
        off = set(off)
        held = []
        for name, facts in rules.items():
            if facts.get("always") or name not in off:
                rest = {key: value for key, value in facts.items() if key not in {"lists", "always"}}
                held.append(Rule(name, tuple(facts["lists"]), **rest))
        return cls(held, lexicon)

    def check(self, wish: Wish, requester: Requester, *, adult_place: bool = False) -> None:
        """Raises PromptRefused; nobody is above the rules."""
        del requester
        broken = self.broken(_filmed(wish), adult_place=adult_place)
        if broken is None and wish.negative:
            broken = self.broken(wish.negative, adult_place=adult_place, negative=True)
        if broken:
            raise PromptRefused(broken.name)

    def broken(self, text: str, *, adult_place: bool = False, negative: bool = False) -> Rule | None:
        met = self._lexicon.met(text)
        for rule in self._rules:
            lifted = (adult_place and rule.unless == ADULT_PLACE) or (negative and not rule.negative)
            if not lifted and rule.broken_by(met):
                return rule
        return None

    def severe(self, name: str) -> bool:
        return any(rule.severe for rule in self._rules if rule.name == name)


def _filmed(wish: Wish) -> str:
    """All that says what is filmed, file names too."""
    paths = (wish.image, wish.source, wish.music.track, wish.music.melody)
    names = [PurePath(path).stem for path in paths if path]
    return " ".join([wish.prompt, wish.style or "", wish.music.mood or "", *wish.music.instruments, *names])


TIMEOUTS = (600.0, 3600.0, 86_400.0, 604_800.0)


def timeout(strikes: int) -> float | None:
    """How long somebody must wait after so many severe refusals; None is until an admin says otherwise."""
    return TIMEOUTS[strikes - 1] if strikes <= len(TIMEOUTS) else None
