"""May this be made here? Rules over what is asked, and where; their words stand in config/rules/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from bot.domain.errors import PromptRefused
from bot.domain.jobs import Requester
from bot.moderation.lexicon import Lexicon
from bot.moderation.text_normalization import scripts_of
from generation.errors import PromptTooLong
from generation.request import PROMPT_LIMIT, Wish

ADULT_PLACE = "adult place"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    lists: tuple[str, ...]
    severe: bool = False
    also: tuple[str, ...] = ()  # other lists that break it
    unless: str = ""
    negative: bool = True  # holds for negative prompts too

    def broken_by(self, met: frozenset[str]) -> bool:
        return any(
            all(not met.isdisjoint(alternatives.split()) for alternatives in lists)
            for lists in (self.lists, self.also)
            if lists
        )


class Policy:
    """Every wish passes here before it costs anything; a refusal names its rule, and no words of it."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        lexicon: Lexicon | None = None,
        scripts: frozenset[str] = frozenset(),
    ) -> None:
        self._rules = rules
        self._lexicon = lexicon or Lexicon({})
        self._scripts = scripts

    @classmethod
    def read(
        cls,
        *,
        rules: Mapping[str, Any],
        words: Mapping[str, Any],
        operator: Iterable[str] = (),
        persons: Iterable[str] = (),
        scripts: Iterable[str] = (),
        off: Iterable[str] = (),
    ) -> Policy:
        """From the parsed files. `operator` and `persons` are words of one's own, `scripts` those that may be
        written in, `off` the rules that do not hold.
        """
        named = {**words, "persons": {**words.get("persons", {}), "own": list(persons)}}
        lexicon = Lexicon(named, operator)
        off = set(off)
        held = []
        for name, facts in rules.items():
            if facts.get("always") or name not in off:
                rest = {key: value for key, value in facts.items() if key not in {"lists", "also", "always"}}
                held.append(Rule(name, tuple(facts["lists"]), also=tuple(facts.get("also", ())), **rest))
        return cls(held, lexicon, frozenset(scripts))

    def check(self, wish: Wish, requester: Requester, *, adult_place: bool = False) -> None:
        """Raises PromptRefused; nobody is above the rules."""
        del requester
        if len(wish.negative) > PROMPT_LIMIT:
            raise PromptTooLong(len(wish.negative), PROMPT_LIMIT)
        bare = self._lexicon.bare(wish.negative)
        broken = self.broken(_filmed(wish), adult_place=adult_place, bare=bare)
        if broken is None and wish.negative:
            broken = self.broken(wish.negative, adult_place=adult_place, negative=True)
        if broken:
            raise PromptRefused(broken.name)
        if self._scripts and not scripts_of(f"{wish.prompt} {wish.negative}") <= self._scripts:
            raise PromptRefused("language")

    def broken(
        self, text: str, *, adult_place: bool = False, negative: bool = False, bare: bool = False
    ) -> Rule | None:
        """`bare` if clothing is what should not be there."""
        met = self._lexicon.met(text) | ({"sexual"} if bare else frozenset())
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
    music = wish.music
    options = (wish.style, wish.camera, wish.aspect, music.genre, music.mood, music.tempo)
    return " ".join([wish.prompt, *filter(None, options), *music.instruments, *names])


TIMEOUTS = (600.0, 3600.0, 86_400.0, 604_800.0)


def timeout(strikes: int) -> float | None:
    """How long somebody must wait after so many severe refusals; None is until an admin says otherwise."""
    return TIMEOUTS[strikes - 1] if strikes <= len(TIMEOUTS) else None
